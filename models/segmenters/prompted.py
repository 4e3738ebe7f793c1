"""The segmenter for all networks like SAM, independent of their encoder and decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.fused import can_fuse
from models.protocols import OutOfMemory
from models.segmenters.network import PromptedNet
from models.segmenters.prompts import Components, Prompt, Settings, prompts_of
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box, Mask


class PromptedSegmenter:
    """Outlines the lesions in the detector's boxes (models.protocols.Segmenter).

    Each crop of the image is embedded once, for any number of prompts.
    """

    def __init__(self, net: PromptedNet, device: torch.device, mixed_precision: bool, settings: Settings) -> None:
        self.net = net
        self._device = device
        self._mixed = mixed_precision and device.type == "cuda"
        self._settings = settings

    def segment(self, image: Mammogram, boxes: Sequence[Box], kinds: Sequence[FindingKind]) -> list[Mask | None]:
        """The last pass's masks: see models.protocols.Segmenter.

        Raises:
            OutOfMemory: the prompts did not fit on the device.
            ValueError: the image has no spacing, and the margin is in millimetres (the pipeline fills in a missing
                spacing); or a box is outside the image.
        """
        return [masks[-1] for masks in self._outlined(image, boxes, kinds, first=self._settings.passes - 1)]

    def outlines_by_pass(
        self, image: Mammogram, boxes: Sequence[Box], kinds: Sequence[FindingKind]
    ) -> list[list[Mask | None]]:
        """For each box, its mask after each pass (Guo, Cai and Dungey, Figure 4). Raises the same errors as
        `segment`."""
        return self._outlined(image, boxes, kinds, first=0)

    def _outlined(
        self, image: Mammogram, boxes: Sequence[Box], kinds: Sequence[FindingKind], first: int
    ) -> list[list[Mask | None]]:
        """For each box, its masks from pass number `first` (counted from 0) on."""
        prompts = prompts_of(image, boxes, self._settings)
        crops = list(dict.fromkeys(prompt.crop for prompt in prompts))
        outlined: dict[int, list[Mask | None]] = {}
        for start in range(0, len(crops), self._settings.batch):
            some = crops[start : start + self._settings.batch]
            shown = {number: prompt for number, prompt in enumerate(prompts) if prompt.crop in some}
            try:
                with torch.inference_mode():
                    drawn = self._logits_by_pass(image, some, list(shown.values()))[first:]
                    for place, (number, prompt) in enumerate(shown.items()):
                        kept = self._settings.kept(kinds[number])
                        outlined[number] = [self._outline(prompt, logits[place], kept) for logits in drawn]
            except torch.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                raise OutOfMemory(f"{len(shown)} boxes in {len(some)} crops do not fit on {self._device}") from error
        return [outlined[number] for number in range(len(prompts))]

    def _logits_by_pass(self, image: Mammogram, crops: Sequence[Box], prompts: Sequence[Prompt]) -> list[Tensor]:
        """Each pass's logits (prompts × L × L); every prompt's crop is one of `crops`."""
        prompt_kind, picture = self._settings.prompt, self.net.picture
        embedded = self._embedded([image.pixels[crop.slices] for crop in crops])
        index = torch.tensor([crops.index(prompt.crop) for prompt in prompts], device=self._device)
        scales = [picture.scale((prompt.crop.height, prompt.crop.width)) for prompt in prompts]
        boxes = self._tensor([prompt.box_in(scale) for prompt, scale in zip(prompts, scales, strict=True)])
        points = self._tensor([prompt.point_in(scale) for prompt, scale in zip(prompts, scales, strict=True)])
        drawn: list[Tensor] = []
        for _ in range(self._settings.passes):
            logits = self.net.decode(
                embedded,
                index,
                boxes=None if prompt_kind == "point" else boxes,
                points=None if prompt_kind == "box" else points,
                masks=drawn[-1] if drawn else None,
            )
            drawn.append(logits)
        return drawn

    def _embedded(self, crops: Sequence[NDArray[np.float32]]) -> tuple[Tensor, ...]:
        pictures = torch.stack([self.net.picture.prepare(crop) for crop in crops]).to(self._device)
        # Half precision is not exact enough for the positions of boxes: only the encoder uses it.
        with torch.autocast(self._device.type, torch.float16, enabled=self._mixed):
            embedded = self.net.embed(pictures.contiguous(memory_format=torch.channels_last))
        return tuple(tensor.float() for tensor in embedded)

    def _tensor(self, coordinates: Sequence[NDArray[np.float32]]) -> Tensor:
        return torch.from_numpy(np.stack(coordinates)).to(self._device)

    def _outline(self, prompt: Prompt, logits: Tensor, kept: Components) -> Mask | None:
        drawn = self.net.picture.restore(logits, (prompt.crop.height, prompt.crop.width)) > 0
        return touching(drawn.cpu().numpy(), prompt, kept)


def touching(drawn: NDArray[np.bool_], prompt: Prompt, kept: Components) -> Mask | None:
    """The connected components of a crop's mask that overlap the detector's box: the largest of them, or all of them as
    one mask; None if none does."""
    shown = Box.around(drawn)
    if shown is None:
        return None
    # In this box alone: labelling a whole film takes a tenth of a second.
    _, labels, stats, _ = cv2.connectedComponentsWithStats(drawn[shown.slices].astype(np.uint8), connectivity=8)
    box, first_row, first_column = prompt.box, prompt.crop.top + shown.top, prompt.crop.left + shown.left
    rows = slice(max(0, box.top - first_row), max(0, box.bottom - first_row))
    columns = slice(max(0, box.left - first_column), max(0, box.right - first_column))
    found = [int(label) for label in np.unique(labels[rows, columns]) if label]
    if not found:
        return None
    if kept == "largest":
        found = [max(found, key=lambda label: stats[label, cv2.CC_STAT_AREA])]
    corners = stats[found, :2]
    left, top = (int(value) for value in corners.min(axis=0))
    right, bottom = (int(value) for value in (corners + stats[found, 2:4]).max(axis=0))
    whole = np.isin(labels[top:bottom, left:right], found)
    return Mask(Box(first_row + top, first_column + left, first_row + bottom, first_column + right), whole)


class Load(Protocol):
    """An adapter's `load`, which models/catalog.py calls."""

    def __call__(
        self, weights: Mapping[str, Tensor], device: torch.device, mixed_precision: bool, **settings: Any
    ) -> PromptedSegmenter:
        """The segmenter with these weights; the settings are those of the adapter's `untrained`.

        Raises:
            RuntimeError: the weights do not fit this network.
            TypeError, ValueError: a setting is unknown or wrong.
        """


def loading(untrained: Callable[..., tuple[PromptedNet, Settings]]) -> Load:
    """Makes an adapter's `load` from its `untrained`."""

    def load(
        weights: Mapping[str, Tensor], device: torch.device, mixed_precision: bool, **settings: Any
    ) -> PromptedSegmenter:
        net, prompts = untrained(**settings)
        net.load_state_dict({name: weight.float() for name, weight in weights.items()})
        net = net.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        if can_fuse(device):
            net.fuse()
        return PromptedSegmenter(net, device, mixed_precision, prompts)

    return load
