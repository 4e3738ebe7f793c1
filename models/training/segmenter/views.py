"""A segmenter's training and validation data: each lesion in a crop of its image, with the prompt of a detector's box.

Views are augmented: mirrored, rotated by right angles, with another grey scale and jittered boxes; everything else is
done by the code of inference (`prompts_of`, the network's `picture`). They are kept for the whole training (kept.py):
lesions in the same crop share it, greys are kept once instead of for three channels, and a frozen encoder's embeddings
in half precision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.anatomy.film import with_spacing
from models.datasets.case import Case
from models.segmenters.network import Embedded, PromptedNet
from models.segmenters.prompts import Settings, prompts_of
from models.training.kept import IN_MEMORY, Arrays, Kept
from models.training.scanners import relit
from models.training.segmenter.recipe import TaskSettings
from models.types.mammogram import Mammogram
from models.types.region import Box, Mask

_EMBEDDED_AT_ONCE = 4
_FINER = 2
"""The grey scale of views is changed at this multiple of the network's resolution; finer details are lost anyway."""


@dataclass(frozen=True, eq=False)
class Shown:
    """An augmented crop of an image as the network's input. Lesions in the same crop share it.

    Attributes:
        content: its greys (one tensor of 1 × rows × columns, from `Picture.shrink`) or, with a frozen encoder, its
            embedding (tensors of 1 × …). In half precision.
    """

    content: Embedded


@dataclass(frozen=True, eq=False)
class View:
    """One lesion with its prompt and its true mask.

    Attributes:
        shown: the crop that shows it.
        box: left, top, right, bottom in the input's pixels.
        point: x, y in the input's pixels.
        drawn: L × L, the target of the logits: the share of each cell that the lesion covers, 0..1.
    """

    shown: Shown
    box: Tensor
    point: Tensor
    drawn: Tensor


def read_views(
    network: PromptedNet,
    prompts: Settings,
    task: TaskSettings,
    cases: Iterable[Case],
    device: torch.device,
    draw: np.random.Generator | None,
    kept: Kept = IN_MEMORY,
) -> list[View]:
    """The views of each outlined lesion: `task.views` augmented ones, or without `draw` one that is not augmented. They
    are embedded if the encoder is frozen. Each embedding is kept by the greys that it is of: a view depends on all that
    was drawn at random before it.

    Raises:
        DatasetError: a case cannot be read.
    """
    embeds = "image_encoder" not in task.trained
    done: list[View] = []
    waiting: list[View] = []
    for case in cases:
        waiting += _views_of(case, network, prompts, task, draw)
        if not embeds or len(waiting) >= _EMBEDDED_AT_ONCE:
            done += _embedded(network, waiting, device, embeds, kept)
            waiting = []
    return done + _embedded(network, waiting, device, embeds, kept)


def pictures_of(network: PromptedNet, shown: Sequence[Shown]) -> Tensor:
    """Greys as the network's input: N × 3 × side × side, float32."""
    return torch.stack([network.picture.fill(crop.content[0][0].float()) for crop in shown])


def _embedded(
    network: PromptedNet, views: Sequence[View], device: torch.device, embeds: bool, kept: Kept
) -> list[View]:
    """The views, kept; with embeddings instead of greys if `embeds`. Shared crops stay shared."""

    def parts(some: Sequence[Shown]) -> Arrays:
        if not embeds:
            return {"0": some[0].content[0].numpy()}
        with torch.no_grad():
            embedded = network.embed(pictures_of(network, some).to(device))
        return {str(number): part.half().cpu().numpy() for number, part in enumerate(embedded)}

    shown = list(dict.fromkeys(view.shown for view in views))
    done: dict[Shown, Shown] = {}
    together = _EMBEDDED_AT_ONCE if embeds else 1
    for first in range(0, len(shown), together):
        some = shown[first : first + together]
        found = kept.of(_digest(some), partial(parts, some))
        tensors = [torch.from_numpy(found[str(number)]) for number in range(len(found))]
        for number, picture in enumerate(some):
            done[picture] = Shown(tuple(tensor[number : number + 1] for tensor in tensors))
    return [replace(view, shown=done[view.shown]) for view in views]


def _digest(shown: Sequence[Shown]) -> str:
    """Of the greys of crops that are embedded together."""
    greys = hashlib.sha256()
    for picture in shown:
        greys.update(f"{tuple(picture.content[0].shape)}".encode() + picture.content[0].numpy().tobytes())
    return greys.hexdigest()


def _views_of(
    case: Case, network: PromptedNet, prompts: Settings, task: TaskSettings, draw: np.random.Generator | None
) -> Iterator[View]:
    image = with_spacing(case.read(), task.assumed_spacing_mm)
    masks = [lesion.mask for lesion in case.read_lesions(image) if lesion.outlined]
    if not masks:
        return
    for _ in range(1 if draw is None else task.views):
        yield from _seen(network, prompts, image, masks, task.jitter, draw)


def _seen(
    network: PromptedNet,
    prompts: Settings,
    image: Mammogram,
    masks: Sequence[Mask],
    jitter: float,
    draw: np.random.Generator | None,
) -> Iterator[View]:
    """One view per lesion of an image: of the image itself, or of one augmented copy of it for all lesions."""
    if draw is not None:
        image, masks = _turned(image, masks, int(draw.integers(8)))
    shown: dict[Box, Shown] = {}
    for mask in masks:
        box = mask.box if draw is None else _moved(mask.box, image.shape, jitter, draw)
        (prompt,) = prompts_of(image, [box], prompts)
        crop = prompt.crop
        if crop not in shown:
            shown[crop] = _shown(network, image.pixels[crop.slices], draw)
        scale = network.picture.scale((crop.height, crop.width))
        yield View(
            shown=shown[crop],
            box=torch.from_numpy(prompt.box_in(scale)),
            point=torch.from_numpy(prompt.point_in(scale)),
            drawn=torch.from_numpy(_truth_map(mask, crop, scale, network.picture.side, _places(network))),
        )


def _shown(network: PromptedNet, pixels: NDArray[np.float32], draw: np.random.Generator | None) -> Shown:
    pixels = np.ascontiguousarray(pixels)
    if draw is not None:
        pixels = relit(_shrunk(pixels, _FINER * network.picture.side), draw)
    return Shown((network.picture.shrink(pixels)[None].half(),))


def _shrunk(pixels: NDArray[np.float32], longest: int) -> NDArray[np.float32]:
    share = longest / max(pixels.shape)
    if share >= 1:
        return pixels
    rows, columns = (max(1, round(length * share)) for length in pixels.shape)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _places(network: PromptedNet) -> int:
    """Rows and columns of its logits, which is the size of mask prompts in SAM's prompt encoder."""
    encoder: Any = network.prompt_encoder
    return int(encoder.mask_input_size[0])


def _truth_map(mask: Mask, crop: Box, scale: tuple[float, float], side: int, places: int) -> NDArray[np.float32]:
    """The share of each cell of the logits (places × places) that the lesion covers."""
    inside = np.zeros((crop.height, crop.width), dtype=np.float32)
    top, left = max(mask.box.top, crop.top), max(mask.box.left, crop.left)
    bottom, right = min(mask.box.bottom, crop.bottom), min(mask.box.right, crop.right)
    if top < bottom and left < right:
        inside[top - crop.top : bottom - crop.top, left - crop.left : right - crop.left] = mask.crop[
            top - mask.box.top : bottom - mask.box.top, left - mask.box.left : right - mask.box.left
        ]
    rows, columns = (
        max(1, round(length * factor * places / side)) for length, factor in zip(inside.shape, scale, strict=True)
    )
    whole = np.zeros((places, places), dtype=np.float32)
    whole[:rows, :columns] = cv2.resize(inside, (columns, rows), interpolation=cv2.INTER_AREA)
    return whole


def _turned(image: Mammogram, masks: Sequence[Mask], which: int) -> tuple[Mammogram, list[Mask]]:
    """The image and masks in one of eight orientations: `which` has bits for mirrored vertically, mirrored horizontally
    and transposed."""
    pixels, spacing = image.pixels, image.spacing_mm
    rows, columns = pixels.shape
    crops, boxes = [mask.crop for mask in masks], [mask.box for mask in masks]
    if which & 1:
        pixels, crops = pixels[::-1], [crop[::-1] for crop in crops]
        boxes = [Box(rows - box.bottom, box.left, rows - box.top, box.right) for box in boxes]
    if which & 2:
        pixels, crops = pixels[:, ::-1], [crop[:, ::-1] for crop in crops]
        boxes = [Box(box.top, columns - box.right, box.bottom, columns - box.left) for box in boxes]
    if which & 4:
        pixels, crops = pixels.T, [crop.T for crop in crops]
        boxes = [Box(box.left, box.top, box.right, box.bottom) for box in boxes]
        spacing = None if spacing is None else spacing[::-1]
    turned = [Mask(box, np.ascontiguousarray(crop)) for box, crop in zip(boxes, crops, strict=True)]
    return replace(image, pixels=pixels, spacing_mm=spacing), turned


def _moved(box: Box, shape: tuple[int, int], jitter: float, draw: np.random.Generator) -> Box:
    """The box with its sides moved at random, like a detector's box; cut to the image."""
    down, across = box.height * jitter, box.width * jitter
    top, bottom = box.top + draw.uniform(-down, down), box.bottom + draw.uniform(-down, down)
    left, right = box.left + draw.uniform(-across, across), box.right + draw.uniform(-across, across)
    first_row, first_column = max(0, round(top)), max(0, round(left))
    return Box(
        first_row,
        first_column,
        max(first_row + 1, min(shape[0], round(bottom))),
        max(first_column + 1, min(shape[1], round(right))),
    )
