"""The input of the networks: the breast, cropped, centred in a frame of a fixed size, with its greys normalised."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.anatomy.breast import breast_box_of, breast_mask_of
from models.types.mammogram import Mammogram
from models.types.region import Box, Mask

_DARKEST, _BRIGHTEST = 1.0, 99.7
"""Percentiles of the breast box's greys that become 0 and 1: scanners and windows differ, and labels are brighter
than any tissue."""
_LEAST_CONTRAST = 1e-6
"""If the two percentiles differ by less, the image has a single grey value (up to rounding)."""
_SAMPLE = 256
"""The percentiles are computed from about this many rows and columns: the result is the same within 0.001, and hundreds
of times faster than from all of 4,000 × 3,000 pixels."""
_RIM_MM = 5.0
"""The pixels within this distance of the breast's mask are shown: the mask may cut off the skin line."""
_MULTIPLE_PX = 32
"""The coarsest stride of the networks."""
_LARGEST_MM = 320.0
"""The longest side of a frame at a scale: longer than any receptor."""


Size = int | tuple[int, int]
"""Pixels: the side of a square, or rows and columns. A breast is nearly twice as high as wide: four tenths of a square
frame are air."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A part of an image, resized to a network's input size, with the mapping between the two.

    Attributes:
        pixels: rows × columns, float32 in 0..1; the padding is 0, like air.
        part: the part of the source image shown.
        scale: frame pixels per source pixel.
        top: the frame row of the part's first row.
        left: the frame column of the part's first column.
    """

    pixels: NDArray[np.float32]
    part: Box
    scale: float
    top: int
    left: int

    def to_source(self, left: float, top: float, right: float, bottom: float) -> Box | None:
        """A rectangle of the frame as a box of source pixels, cut to the part shown; None if nothing is left."""
        first_row = max(0, round((top - self.top) / self.scale)) + self.part.top
        last_row = min(self.part.height, round((bottom - self.top) / self.scale)) + self.part.top
        first_column = max(0, round((left - self.left) / self.scale)) + self.part.left
        last_column = min(self.part.width, round((right - self.left) / self.scale)) + self.part.left
        if first_row >= last_row or first_column >= last_column:
            return None
        return Box(first_row, first_column, last_row, last_column)

    def box_of(self, mask: Mask) -> Box:
        """The box of a mask in the frame (`draw` always draws something)."""
        box = Box.around(self.draw(mask))
        assert box is not None
        return box

    def draw(self, mask: Mask) -> NDArray[np.bool_]:
        """A mask of the source image, mapped to the frame and of its shape; pixels outside the part are cut off."""
        rows, columns = self.pixels.shape
        # Pixel centres are at half coordinates: source column x maps to frame column (x + 0.5) · scale − 0.5.
        down = (mask.box.top - self.part.top + 0.5) * self.scale + self.top - 0.5
        across = (mask.box.left - self.part.left + 0.5) * self.scale + self.left - 0.5
        move = np.array([[self.scale, 0, across], [0, self.scale, down]])
        soft = cv2.warpAffine(mask.crop.astype(np.float32), move, (columns, rows), flags=cv2.INTER_LINEAR)
        drawn = np.asarray(soft >= 0.5)
        if (
            not drawn.any()
        ):  # a lesion of a few source pixels can fall between frame pixels: its centre is drawn instead
            row = round((mask.box.top + mask.box.bottom - 1) / 2 * self.scale + self.top - self.part.top * self.scale)
            column = round(
                (mask.box.left + mask.box.right - 1) / 2 * self.scale + self.left - self.part.left * self.scale
            )
            drawn[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)] = True
        return drawn


def frame(pixels: NDArray[np.float32], part: Box, size: Size) -> Frame:
    """Resizes a part of an image to `size` pixels: aspect ratio kept, centred, padded with 0, greys normalised.

    Args:
        pixels: rows × columns, float32 in 0..1.
        part: usually the breast's box; must lie within the image.
        size: of the frame, in pixels.
    """
    height, width = rows_columns(size)
    scale = min(height / part.height, width / part.width)
    rows, columns = max(1, round(part.height * scale)), max(1, round(part.width * scale))
    resized = _resized(pixels[part.slices], (rows, columns))
    top, left = (height - rows) // 2, (width - columns) // 2
    framed = np.zeros((height, width), dtype=np.float32)
    step = max(1, max(rows, columns) // _SAMPLE)
    dark, bright = np.percentile(resized[::step, ::step], (_DARKEST, _BRIGHTEST))
    framed[top : top + rows, left : left + columns] = _normalised(resized, dark, bright)
    return Frame(framed, part, scale, top, left)


Framing = Callable[[Mammogram], Frame]
"""Makes the network's input from an image."""


def breast_framing(size: Size, mm_per_px: float | None) -> Framing:
    """The breast at a fixed scale (`scaled_frame`) or, without `mm_per_px`, as large as `size` allows (`frame`)."""
    if mm_per_px is not None:
        return lambda image: scaled_frame(image, mm_per_px)
    return lambda image: frame(image.pixels, breast_box_of(image), size)


def rows_columns(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _normalised(pixels: NDArray[np.float32], dark: float, bright: float) -> NDArray[np.float32]:
    """The pixels, scaled so that `dark` is 0 and `bright` 1."""
    if bright - dark < _LEAST_CONTRAST:
        return np.zeros_like(pixels)
    return np.asarray(np.clip((pixels - dark) / (bright - dark), 0, 1), dtype=np.float32)


def spacing_of(image: Mammogram) -> tuple[float, float]:
    """The spacing of rows and columns, in millimetres.

    Raises:
        ValueError: the image has none.
    """
    if image.spacing_mm is None:
        raise ValueError("An image without a spacing has no scale. Assume one first (models.anatomy.film).")
    return image.spacing_mm


def grown(shape: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """The pixels that are at most so far from the shape: its dilation by a disc."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * distance + 1, 2 * distance + 1)).astype(np.float32)
    # How many pixels of the shape are under the disc. OpenCV's own dilation takes five times as long for large discs.
    under = cv2.filter2D(shape.astype(np.float32), -1, disc, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(under > 0.5)


def mean_spacing_mm(image: Mammogram) -> float:
    """The geometric mean of the spacing of rows and columns.

    Raises:
        ValueError: the image has no spacing.
    """
    return math.sqrt(math.prod(spacing_of(image)))


def scaled_frame(image: Mammogram, mm_per_px: float) -> Frame:
    """Shows the breast at a fixed scale, so that a lesion of 10 mm has the same size in every frame.

    Pixels further than `_RIM_MM` from the breast are 0: a film's border, burnt-in labels and markers. The greys are
    normalised by those of the breast alone.

    Args:
        image: its spacing (the mean of rows and columns) gives the scale.
        mm_per_px: of the frame. If the stated spacing makes the breast longer than `_LARGEST_MM`, the frame is coarser.

    Returns:
        A frame whose sides are multiples of 32, with the breast in its centre.

    Raises:
        ValueError: the image has no spacing.
    """
    breast = breast_mask_of(image)
    part = Box.around(breast) or Box(0, 0, *image.shape)
    spacing = mean_spacing_mm(image)
    scale = min(spacing, _LARGEST_MM / max(part.height, part.width)) / mm_per_px
    rows, columns = max(1, round(part.height * scale)), max(1, round(part.width * scale))
    shown = _resized(image.pixels[part.slices], (rows, columns))
    inside = _resized(breast[part.slices].astype(np.float32), (rows, columns)) >= 0.5
    if inside.any():
        dark, usual, bright = np.percentile(shown[inside], (_DARKEST, 50, _BRIGHTEST))
        border = ~inside & (shown > usual)  # skin is darker than most tissue, a film's border brighter
        near = grown(inside, max(1, round(_RIM_MM / mm_per_px)))
        shown = np.where(near & ~border, _normalised(shown, dark, bright), np.float32(0))
    size = tuple(-(-side // _MULTIPLE_PX) * _MULTIPLE_PX for side in (rows, columns))
    framed = np.zeros(size, dtype=np.float32)
    top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    framed[top : top + rows, left : left + columns] = shown
    return Frame(framed, part, scale, top, left)


def _resized(pixels: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    finer = size[0] > pixels.shape[0]
    resized = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR if finer else cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.float32)
