"""Runs networks on a device: in which batches, in which precision, and what happens if its memory is full."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.device import half_type, tf32
from models.fused import can_fuse
from models.graphs import Capture, CudaGraphs, Recorded, call_again
from models.halving import in_halves
from models.prepared import fold_norms, keep_half
from models.protocols import NotFinite, OutOfMemory
from models.types.words import counted

Call = TypeVar("Call", bound=Callable[..., Any])


@dataclass(frozen=True)
class Runner:
    """How networks are run.

    Attributes:
        mixed_precision: half precision where a network gains from it and is exact enough in it.
        together: as a GPU reads: inputs of one shape go through a network together, also those of different images, and
            in half precision if `mixed_precision`. On a CPU that is not faster (tests enforce it), and without it what
            an image gives does not depend on others, not even by a rounding error.
        capture: how calls of networks are recorded; None: they are not.
    """

    device: torch.device
    mixed_precision: bool = False
    together: bool = False
    capture: Capture | None = None

    @classmethod
    def on(cls, device: torch.device, mixed_precision: bool, together: bool | None = None) -> Runner:
        """The usual one for a device: together on a GPU alone. `together` enforces one or the other."""
        return cls(device, mixed_precision, device.type == "cuda" if together is None else together)

    def recording(self) -> Runner:
        """The same for networks whose weights do not change any more: as a GPU reads, their calls are recorded."""
        if not self.together:
            return self
        return replace(self, capture=CudaGraphs(self.device) if self.device.type == "cuda" else call_again)

    def recorded(self, work: Call, network: torch.nn.Module) -> Call:
        """A network's call, recorded if calls are: see `models.graphs.Recorded`."""
        return work if self.capture is None else cast(Call, Recorded(work, network, self.capture))

    @property
    def half(self) -> bool:
        """Whether half precision is used where its only gain is speed: as a GPU reads."""
        return self.mixed_precision and self.together

    @property
    def fuses(self) -> bool:
        """Whether networks get the layers of `models.fused`: for a CPU alone."""
        return can_fuse(self.device) and not self.together

    def prepare(self, network: torch.nn.Module) -> None:
        """Prepares a network's weights, for one that only ever runs by `each` or `run` (see `models.prepared`: batch
        normalisations stand behind their convolutions)."""
        network.eval()
        fold_norms(network)
        if self.half:
            keep_half(network, half_type(self.device))

    def place(self, network: torch.nn.Module) -> None:
        """Moves a network to the device, ready to read."""
        network.to(self.device).to(memory_format=torch.channels_last)
        network.eval().requires_grad_(False)

    def batches(self, kinds: Sequence[Hashable], most: int) -> list[list[int]]:
        """The inputs, by number, that go through a network together: of one kind (their shape), at most `most`."""
        if not self.together:
            return [[number] for number in range(len(kinds))]
        of_kind: dict[Hashable, list[int]] = {}
        for number, kind in enumerate(kinds):
            of_kind.setdefault(kind, []).append(number)
        return [of[first : first + most] for of in of_kind.values() for first in range(0, len(of), most)]

    def each(self, work: Callable[[Tensor], Tensor], inputs: Sequence[NDArray[np.float32]], most: int) -> list[Tensor]:
        """What `work` makes of each input, float32 on the CPU.

        Args:
            work: a network: inputs, one behind the other along a first dimension, on the device; outputs likewise.
            inputs: of any shapes.
            most: that go through it together.

        Raises:
            OutOfMemory: not even one alone fits on the device.
            NotFinite: an output has NaN, which compares as neither suspicious nor not.
        """
        found: dict[int, Tensor] = {}
        for batch in self.batches([given.shape for given in inputs], most):
            found |= zip(batch, self.run(work, [inputs[number] for number in batch]), strict=True)
        return [found[number] for number in range(len(inputs))]

    def run(self, work: Callable[[Tensor], Tensor], inputs: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """As `each`, for one batch of inputs of one shape; what does not fit on the device is run in halves.

        Raises:
            OutOfMemory: not even one alone fits.
            NotFinite: an output has NaN.
        """

        def at_once(some: Sequence[NDArray[np.float32]]) -> list[Tensor]:
            size = " × ".join(map(str, some[0].shape))
            with self.fitting(f"{counted(len(some), 'input')} of {size}"), self.in_half():
                found = work(self.upload(some)).float().cpu()
            if found.isnan().any():
                raise NotFinite("a network's output is not a number (NaN): nothing is known of this image")
            return list(found)

        return in_halves(at_once, inputs)

    def upload(self, inputs: Sequence[NDArray[np.float32]]) -> Tensor:
        """Inputs of one shape, one behind the other along a first dimension, on the device."""
        stacked = torch.from_numpy(np.stack(inputs))
        if self.device.type != "cuda":
            return stacked.to(self.device)
        return stacked.pin_memory().to(self.device, non_blocking=True)

    @contextmanager
    def fitting(self, what: str) -> Iterator[None]:
        """Runs networks without gradients, and what stays float32 in TF32, if `half`.

        Raises:
            OutOfMemory: `what` does not fit on the device.
        """
        try:
            with torch.inference_mode(), tf32(self.half):
                yield
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory(f"too much for the memory of {self.device}: {what}") from error

    @contextmanager
    def in_half(self) -> Iterator[None]:
        """Half precision where a network is exact enough in it, if `half`."""
        with torch.autocast(self.device.type, half_type(self.device), enabled=self.half):
            yield
