"""The input of the networks: the breast, cropped, centred in a frame of a fixed size, with its greys normalised."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types.region import Box, Mask

_DARKEST, _BRIGHTEST = 1.0, 99.7
"""Percentiles of the breast box's greys that become 0 and 1: scanners and windows differ, and labels are brighter
than any tissue."""
_LEAST_CONTRAST = 1e-6
"""If the two percentiles differ by less, the image has a single grey value (up to rounding)."""
_SAMPLE = 256
"""The percentiles are computed from about this many rows and columns: the result is the same within 0.001, and hundreds
of times faster than from all of 4,000 × 3,000 pixels."""


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
    cut = pixels[part.slices]
    height, width = rows_columns(size)
    scale = min(height / part.height, width / part.width)
    rows, columns = max(1, round(part.height * scale)), max(1, round(part.width * scale))
    resized = cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (height - rows) // 2, (width - columns) // 2
    framed = np.zeros((height, width), dtype=np.float32)
    framed[top : top + rows, left : left + columns] = _normalised(np.asarray(resized, dtype=np.float32))
    return Frame(framed, part, scale, top, left)


def rows_columns(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _normalised(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    step = max(1, max(pixels.shape) // _SAMPLE)
    dark, bright = np.percentile(pixels[::step, ::step], (_DARKEST, _BRIGHTEST))
    if bright - dark < _LEAST_CONTRAST:
        return np.zeros_like(pixels)
    return np.asarray(np.clip((pixels - dark) / (bright - dark), 0, 1), dtype=np.float32)
