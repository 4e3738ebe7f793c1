"""The segmenter for all networks like SAM, independent of their encoder and decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.device import half_type
from models.halving import in_halves
from models.protocols import NotFinite, ToOutline
from models.runner import Runner
from models.segmenters.network import PromptedNet
from models.segmenters.prompts import Components, Prompt, Settings, prompts_of
from models.types.region import Box, Mask
from models.types.words import counted


class PromptedSegmenter:
    """Outlines the lesions in the detector's boxes (models.protocols.Segmenter).

    Each crop of an image is embedded once, for any number of prompts. On a GPU the crops of all images are embedded
    together, and their prompts decoded together, `Settings.batch` crops at once.
    """

    def __init__(self, net: PromptedNet, runner: Runner, settings: Settings) -> None:
        self.net = net
        self._runner = runner
        self._settings = settings
        self._embed = runner.recorded(self._embedding, net)
        self._decode = runner.recorded(self._first_logits, net)
        self._decode_again = runner.recorded(self._later_logits, net)

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        """The last pass's masks: see models.protocols.Segmenter.

        Raises:
            OutOfMemory: not even a single prompt fits on the device.
            NotFinite: a logit is NaN, which is neither inside nor outside of a lesion.
            ValueError: an image has no spacing, and the margin is in millimetres (the pipeline fills in a missing
                spacing); or a box is outside its image.
        """
        return [[by_pass[-1] for by_pass in masks] for masks in self._outlined(images, self._settings.passes - 1)]

    def outlines_by_pass(self, images: Sequence[ToOutline]) -> list[list[list[Mask | None]]]:
        """For each image and lesion, its mask after each pass (Guo, Cai and Dungey, Figure 4). Raises the same errors
        as `segment`."""
        return self._outlined(images, first=0)

    def _outlined(self, images: Sequence[ToOutline], first: int) -> list[list[list[Mask | None]]]:
        """For each image and lesion, its masks from pass number `first` (counted from 0) on."""
        prompts = [
            _Shown(number, place, asked.image.pixels, prompt, self._settings.kept(kind))
            for number, asked in enumerate(images)
            for place, (prompt, (_, kind)) in enumerate(
                zip(
                    prompts_of(asked.image, [box for box, _ in asked.lesions], self._settings),
                    asked.lesions,
                    strict=True,
                )
            )
        ]
        crops = list(dict.fromkeys(shown.crop for shown in prompts))
        outlined: dict[tuple[int, int], list[Mask | None]] = {}
        for batch in self._runner.batches([None] * len(crops), self._settings.batch):
            of_these = {crops[number] for number in batch}
            some = [shown for shown in prompts if shown.crop in of_these]
            drawn = in_halves(lambda few: self._masks_by_pass(few, first), some)
            outlined |= {(shown.image, shown.place): masks for shown, masks in zip(some, drawn, strict=True)}
        return [[outlined[number, place] for place in range(len(asked.lesions))] for number, asked in enumerate(images)]

    def _masks_by_pass(self, shown: Sequence[_Shown], first: int) -> list[list[Mask | None]]:
        crops = list(dict.fromkeys(each.crop for each in shown))
        with self._runner.fitting(f"{counted(len(shown), 'box', 'boxes')} in {counted(len(crops), 'crop')}"):
            drawn = [logits.cpu() for logits in self._logits_by_pass(shown, crops)[first:]]
            if any(logits.isnan().any() for logits in drawn):
                raise NotFinite("a logit of the segmenter is not a number (NaN): nothing is known of this outline")
            return [[self._outline(each, logits[place]) for logits in drawn] for place, each in enumerate(shown)]

    def _logits_by_pass(self, shown: Sequence[_Shown], crops: Sequence[_Crop]) -> list[Tensor]:
        """Each pass's logits (prompts × L × L); every prompt's crop is one of `crops`."""
        picture, device = self.net.picture, self._runner.device
        pixels = {each.crop: each.pixels for each in shown}
        embedded = self._embedded([pixels[crop][crop.box.slices] for crop in crops])
        index = torch.tensor([crops.index(each.crop) for each in shown], device=device)
        prompts = [each.prompt for each in shown]
        scales = [picture.scale((prompt.crop.height, prompt.crop.width)) for prompt in prompts]
        boxes = self._tensor([prompt.box_in(scale) for prompt, scale in zip(prompts, scales, strict=True)])
        points = self._tensor([prompt.point_in(scale) for prompt, scale in zip(prompts, scales, strict=True)])
        if self._runner.capture is not None:  # a recorded call has as many rows of each input
            embedded, index = tuple(tensor[index] for tensor in embedded), torch.arange(len(index), device=device)
        drawn = [self._decode(index, boxes, points, *embedded)]
        for _ in range(1, self._settings.passes):
            drawn.append(self._decode_again(drawn[-1], index, boxes, points, *embedded))
        return drawn

    def _first_logits(
        self, index: Tensor, boxes: Tensor, points: Tensor, *embedded: Tensor, masks: Tensor | None = None
    ) -> Tensor:
        return self.net.decode(
            embedded,
            index,
            boxes=None if self._settings.prompt == "point" else boxes,
            points=None if self._settings.prompt == "box" else points,
            masks=masks,
        )

    def _later_logits(self, masks: Tensor, index: Tensor, boxes: Tensor, points: Tensor, *embedded: Tensor) -> Tensor:
        return self._first_logits(index, boxes, points, *embedded, masks=masks)

    def _embedded(self, crops: Sequence[NDArray[np.float32]]) -> tuple[Tensor, ...]:
        return self._embed(torch.stack([self.net.picture.prepare(crop) for crop in crops]).to(self._runner.device))

    def _embedding(self, pictures: Tensor) -> tuple[Tensor, ...]:
        # Half precision is not exact enough for the positions of boxes: only the encoder uses it.
        with self._runner.in_half():
            embedded = self.net.embed(pictures.contiguous(memory_format=torch.channels_last))
        return tuple(tensor.float() for tensor in embedded)

    def _tensor(self, coordinates: Sequence[NDArray[np.float32]]) -> Tensor:
        return torch.from_numpy(np.stack(coordinates)).to(self._runner.device)

    def _outline(self, shown: _Shown, logits: Tensor) -> Mask | None:
        prompt = shown.prompt
        drawn = self.net.picture.drawn(logits, (prompt.crop.height, prompt.crop.width))
        return touching(drawn, prompt, shown.kept)


@dataclass(frozen=True)
class _Crop:
    """A part of an image; the image's number in its batch."""

    image: int
    box: Box


@dataclass(frozen=True, eq=False)
class _Shown:
    """A prompt, with the image's number in the batch and the lesion's in the image."""

    image: int
    place: int
    pixels: NDArray[np.float32]
    prompt: Prompt
    kept: Components

    @property
    def crop(self) -> _Crop:
        return _Crop(self.image, self.prompt.crop)


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

    def __call__(self, weights: Mapping[str, Tensor], runner: Runner, **settings: Any) -> PromptedSegmenter:
        """The segmenter with these weights; the settings are those of the adapter's `untrained`.

        Raises:
            RuntimeError: the weights do not fit this network.
            TypeError, ValueError: a setting is unknown or wrong.
        """


def loading(untrained: Callable[..., tuple[PromptedNet, Settings]]) -> Load:
    """Makes an adapter's `load` from its `untrained`."""

    def load(weights: Mapping[str, Tensor], runner: Runner, **settings: Any) -> PromptedSegmenter:
        net, prompts = untrained(**settings)
        net.load_state_dict({name: weight.float() for name, weight in weights.items()})
        runner.place(net)
        net.fold()
        if runner.half:
            net.keep_half(half_type(runner.device))
        if runner.fuses:
            net.fuse()
        return PromptedSegmenter(net, runner, prompts)

    return load
