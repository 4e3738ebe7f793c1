"""Calls of a network, recorded for batches of a few sizes and replayed: CUDA graphs.

A GPU computes a network faster than a processor starts its kernels one by one; a recorded call starts them all at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Of recorded batches: a smaller batch is filled up to the next one."""
_MOST = 64
"""Recordings of one network; other shapes are computed as without."""
_CHECKS = 2
"""How often a recording's outputs are compared with the network's own before they are used: with the inputs that it was
recorded with, and with the next ones."""
_ALIKE = 0.01
"""By how much the two may differ, absolute for small outputs and relative for large ones."""

Outputs: TypeAlias = Tensor | tuple[Tensor, ...]
Work: TypeAlias = Callable[..., Outputs]
Replay: TypeAlias = Callable[[], Outputs]
"""Computes the outputs anew from what is in the recorded inputs then."""
Capture: TypeAlias = Callable[[Work, Sequence[Tensor]], Replay]
"""Records a call with these inputs.

Raises:
    RuntimeError: it cannot be recorded."""


class Recorded:
    """A network's call, which gives what it gives without; the rest of a filled batch changes nothing in it.

    A shape is recorded when it comes for the second time. If recording fails, or a recording gives something else, one
    line of the log says so, and the call is not recorded any more: no result ever comes from an unchecked recording.

    Args:
        work: tensors in, one row of each for each of the batch; rows out. It reads no value of a tensor.
        network: whose modules may keep tensors from one call to the next.
    """

    def __init__(self, work: Work, network: nn.Module, capture: Capture) -> None:
        self._work, self._network, self._capture = work, network, capture
        self._seen: set[Hashable] = set()
        self._recordings: dict[Hashable, _Recording] = {}
        self._recording = True

    def __call__(self, *inputs: Tensor) -> Outputs:
        count = len(inputs[0])
        size = next((size for size in SIZES if size >= count), None)
        key = (size, *((given.shape[1:], given.dtype) for given in inputs))
        if not self._recording or size is None or not (key in self._recordings or self._take(key, size, inputs)):
            return self._work(*inputs)
        recording = self._recordings[key]
        for place, given in zip(recording.inputs, inputs, strict=True):
            place[:count].copy_(given)
        found = recording.replay()
        if recording.checks < _CHECKS:
            recording.checks += 1
            wanted = self._work(*recording.inputs)
            if not _alike(found, wanted):
                self._stop("a recorded call gives other outputs than the network")
            found = wanted
        # Copies, since the next replay writes to the same place.
        return _each(lambda rows: rows[:count].clone(), found)

    def _take(self, key: Hashable, size: int, inputs: Sequence[Tensor]) -> bool:
        """Records inputs of this kind, if it is time to; whether they are recorded now."""
        if key not in self._seen or len(self._recordings) >= _MOST:
            self._seen.add(key)
            return False
        places = [given.new_zeros((size, *given.shape[1:])) for given in inputs]
        for place, given in zip(places, inputs, strict=True):
            place[: len(given)].copy_(given)
        try:
            replay = self._capture(self._work, places)
        except RuntimeError as error:
            self._stop(str(error).partition("\n")[0])
            return False
        self._recordings[key] = _Recording(replay, places, _kept_by(self._network))
        return True

    def _stop(self, reason: str) -> None:
        self._recording = False
        self._recordings.clear()
        log.warning("a network's calls are not recorded, which is slower: %s: %s", type(self._network).__name__, reason)


@dataclass
class _Recording:
    """A recorded call.

    Attributes:
        inputs: where it reads them from.
        kept: tensors that it reads too, and that must not be freed when a module replaces them.
        checks: how often its outputs were compared.
    """

    replay: Replay
    inputs: Sequence[Tensor]
    kept: Sequence[Tensor]
    checks: int = 0


class CudaGraphs:
    """Records CUDA graphs on a device. They share their memory: only one of them may run at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    @cached_property
    def _beside(self) -> torch.cuda.Stream:
        return torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    @cached_property
    def _pool(self) -> Any:
        return torch.cuda.graph_pool_handle()

    def __call__(self, work: Work, inputs: Sequence[Tensor]) -> Replay:
        here, graph = torch.cuda.current_stream(self._beside.device), torch.cuda.CUDAGraph()
        self._beside.wait_stream(here)
        try:
            with torch.cuda.stream(self._beside):  # libraries choose their kernels, and modules what they keep
                work(*inputs)
            how = {"pool": self._pool, "stream": self._beside, "capture_error_mode": "thread_local"}
            with torch.cuda.graph(graph, **how):
                found = work(*inputs)
        finally:
            torch.cuda.set_stream(here)  # a capture that fails leaves its own
            here.wait_stream(self._beside)

        def replay() -> Outputs:
            graph.replay()
            return found

        return replay


def call_again(work: Work, inputs: Sequence[Tensor]) -> Replay:
    """Stands for a CUDA graph on a CPU that reads as a GPU does: calls `work` again."""
    return lambda: work(*inputs)


def _each(change: Callable[[Tensor], Tensor], found: Outputs) -> Outputs:
    return change(found) if isinstance(found, Tensor) else tuple(map(change, found))


def _alike(found: Outputs, wanted: Outputs) -> bool:
    some, others = ([rows] if isinstance(rows, Tensor) else rows for rows in (found, wanted))
    return all(
        torch.allclose(*pair, rtol=_ALIKE, atol=_ALIKE, equal_nan=True) for pair in zip(some, others, strict=True)
    )


def _kept_by(network: nn.Module) -> list[Tensor]:
    """Tensors that modules keep as plain attributes, as the detector's head does for its last shape."""
    return [value for module in network.modules() for value in vars(module).values() if isinstance(value, Tensor)]
