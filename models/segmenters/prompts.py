"""A segmenter's prompts: the position of a lesion, and the crop of the image in which it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box

Shown = Literal["crop", "whole"]
PromptKind = Literal["box", "box+point", "point"]
Components = Literal["largest", "all"]
MOST_PASSES = 3
"""The number in Guo, Cai and Dungey (Figure 4)."""


@dataclass(frozen=True)
class Settings:
    """The segmenter's settings: crop, prompts and postprocessing.

    Attributes:
        margin_mm: the detector's box is enlarged by this much on each side. Guo, Cai and Dungey expand it "by 1 cm",
            interpreted here as 1 cm in total, so 5 mm per side; 10 is the other interpretation.
        shown: "crop": a square around the lesion, which it may share with lesions near it; "whole": the whole image, as
            in both papers.
        context: a crop's side, as a multiple of the enlarged box's longer side. On 17 lesions of CDD-CESM at 0.1 mm per
            pixel, with the true boxes, LiteMedSAM's mean Dice is .764 at 2.5, .823 at 5, .854 at 8, .844 on whole
            images.
        smallest_crop_px: the least side of a crop in source pixels, unless the image itself is smaller.
        prompt: "box": the enlarged box; "box+point": also the brightest pixel of the detector's own box (Chen, Liu and
            Wang, 3.1); "point": only that pixel.
        passes: 1 to 3. Each later pass gets the same prompt and, as a mask prompt, the logits of the previous pass.
        batch: the number of crops that are embedded at once on a GPU, at most.
        mass, calcification: the connected components of the mask that are kept for a lesion of this kind: "largest":
            the largest one that overlaps the detector's box; "all": every one that does, because a cluster of many
            calcifications is one lesion.

    Raises:
        ValueError: a setting is out of range.
    """

    margin_mm: float = 5.0
    shown: Shown = "crop"
    context: float = 8.0
    smallest_crop_px: int = 256
    prompt: PromptKind = "box"
    passes: int = 1
    batch: int = 32
    mass: Components = "largest"
    calcification: Components = "all"

    def kept(self, kind: FindingKind) -> Components:
        """The components that are kept for a lesion of this kind."""
        return self.mass if kind.is_mass else self.calcification

    def __post_init__(self) -> None:
        if self.shown not in get_args(Shown):
            raise ValueError(f"shown is {self.shown!r}; give one of {', '.join(get_args(Shown))}")
        if self.prompt not in get_args(PromptKind):
            raise ValueError(f"prompt is {self.prompt!r}; give one of {', '.join(get_args(PromptKind))}")
        for kind in FindingKind:
            if self.kept(kind) not in get_args(Components):
                raise ValueError(f"{kind} is {self.kept(kind)!r}; give one of {', '.join(get_args(Components))}")
        if not 1 <= self.passes <= MOST_PASSES:
            raise ValueError(f"passes is {self.passes}; give 1 to {MOST_PASSES}")
        if self.margin_mm < 0 or self.context < 1 or self.smallest_crop_px < 1 or self.batch < 1:
            raise ValueError("margin_mm is at least 0; context, smallest_crop_px and batch are at least 1")


@dataclass(frozen=True)
class Prompt:
    """The prompt for one lesion, in source pixels.

    Attributes:
        box: the detector's.
        large: the same, enlarged.
        point: row and column of the brightest pixel of `box`.
        crop: the part of the image that is the network's input.
    """

    box: Box
    large: Box
    point: tuple[int, int]
    crop: Box

    def box_in(self, scale: tuple[float, float]) -> NDArray[np.float32]:
        """The enlarged box as the network's prompt: left, top, right, bottom in its input's pixels.

        Args:
            scale: input pixels per source pixel, down and across.
        """
        (down, across), crop, large = scale, self.crop, self.large
        rows = np.array([large.top - crop.top, large.bottom - crop.top], dtype=np.float32) * np.float32(down)
        columns = np.array([large.left - crop.left, large.right - crop.left], dtype=np.float32) * np.float32(across)
        return np.array([columns[0], rows[0], columns[1], rows[1]], dtype=np.float32)

    def point_in(self, scale: tuple[float, float]) -> NDArray[np.float32]:
        """The brightest pixel as the network's prompt: x, y in its input's pixels."""
        (down, across), (row, column) = scale, self.point
        return np.array([(column - self.crop.left) * across, (row - self.crop.top) * down], dtype=np.float32)

    def fits(self, crop: Box) -> bool:
        """Whether another lesion's crop is good enough for this one: it contains it, and has at most twice the side."""
        large = self.large
        return (
            crop.top <= large.top
            and crop.left <= large.left
            and large.bottom <= crop.bottom
            and large.right <= crop.right
            and _longer(crop) <= 2 * _longer(self.crop)
        )


def prompts_of(image: Mammogram, boxes: Sequence[Box], settings: Settings) -> list[Prompt]:
    """A prompt for each of the detector's boxes, in order; crops are shared where possible.

    Raises:
        ValueError: the image has no spacing, and the margin is in millimetres; or a box is outside the image.
    """
    if image.spacing_mm is None:
        raise ValueError("The segmenter needs spacing_mm to enlarge a box by millimetres")
    return _sharing([_prompt(image, box, image.spacing_mm, settings) for box in boxes])


def enlarged(box: Box, shape: tuple[int, int], spacing_mm: tuple[float, float], margin_mm: float) -> Box:
    """The box enlarged by `margin_mm` on each side, cut to the image (rows, columns)."""
    rows, columns = (round(margin_mm / mm) for mm in spacing_mm)
    return Box(
        max(0, box.top - rows),
        max(0, box.left - columns),
        min(shape[0], box.bottom + rows),
        min(shape[1], box.right + columns),
    )


def brightest(pixels: NDArray[np.float32], box: Box) -> tuple[int, int]:
    """Row and column of the brightest pixel of the box; of several, the first in row order (Chen, Liu and Wang, 3.1).

    Raises:
        ValueError: no part of the box is inside the image.
    """
    inside = pixels[box.slices]
    if not inside.size:
        raise ValueError(f"{box} lies outside an image of {pixels.shape[0]} × {pixels.shape[1]} pixels")
    row, column = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return box.top + int(row), box.left + int(column)


def _prompt(image: Mammogram, box: Box, spacing_mm: tuple[float, float], settings: Settings) -> Prompt:
    rows, columns = image.shape
    point = brightest(image.pixels, box)
    large = enlarged(box, image.shape, spacing_mm, settings.margin_mm)
    if settings.shown == "whole":
        return Prompt(box, large, point, Box(0, 0, rows, columns))
    side = max(settings.smallest_crop_px, round(settings.context * _longer(large)))
    top, bottom = _window((large.top + large.bottom) // 2, side, rows)
    left, right = _window((large.left + large.right) // 2, side, columns)
    return Prompt(box, large, point, Box(top, left, bottom, right))


def _sharing(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts with as few different crops as possible: embedding a crop takes most of the time."""
    crops: list[Box] = []
    for prompt in sorted(prompts, key=lambda prompt: -_longer(prompt.crop)):
        if not any(prompt.fits(crop) for crop in crops):
            crops.append(prompt.crop)
    return [replace(prompt, crop=next(crop for crop in crops if prompt.fits(crop))) for prompt in prompts]


def _longer(box: Box) -> int:
    return max(box.height, box.width)


def _window(middle: int, side: int, length: int) -> tuple[int, int]:
    """`side` pixels around `middle`, shifted into 0..length; the whole range if that is shorter."""
    side = min(side, length)
    start = min(max(0, middle - side // 2), length - side)
    return start, start + side
