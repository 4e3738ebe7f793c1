"""What the networks see: the breast, cut out, set in a frame of a fixed size, with a scanner's greys evened out."""

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
"""Less than this between the two is one grey and rounding."""
_SAMPLE = 256
"""The percentiles are taken of about this many rows and columns: the same to a thousandth, and hundreds of times
faster than all of 4,000 × 3,000 pixels."""


Size = int | tuple[int, int]
"""Pixels: the side of a square, or rows and columns. A breast is nearly twice as high as wide: in a square, four places
of ten are air."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture, of a size that a network wants, of a part of an image, and the way between the two.

    Attributes:
        pixels: rows × columns, float32 in 0..1; what the part does not fill is 0, as air is.
        part: the part of the source image shown.
        scale: frame pixels to a source pixel.
        top: the frame row of the part's first row.
        left: the frame column of the part's first column.
    """

    pixels: NDArray[np.float32]
    part: Box
    scale: float
    top: int
    left: int

    def to_source(self, left: float, top: float, right: float, bottom: float) -> Box | None:
        """A rectangle of the frame as a box of source pixels, cut to the part shown; None where nothing is left."""
        first_row = max(0, round((top - self.top) / self.scale)) + self.part.top
        last_row = min(self.part.height, round((bottom - self.top) / self.scale)) + self.part.top
        first_column = max(0, round((left - self.left) / self.scale)) + self.part.left
        last_column = min(self.part.width, round((right - self.left) / self.scale)) + self.part.left
        if first_row >= last_row or first_column >= last_column:
            return None
        return Box(first_row, first_column, last_row, last_column)

    def draw(self, mask: Mask) -> NDArray[np.bool_]:
        """A mask of the source image as it lies in the frame, of its shape; what lies outside the part is cut off."""
        rows, columns = self.pixels.shape
        # Centres of pixels stand at half: (x + 0.5) · scale − 0.5 is where a source column's centre comes to lie.
        down = (mask.box.top - self.part.top + 0.5) * self.scale + self.top - 0.5
        across = (mask.box.left - self.part.left + 0.5) * self.scale + self.left - 0.5
        move = np.array([[self.scale, 0, across], [0, self.scale, down]])
        soft = cv2.warpAffine(mask.crop.astype(np.float32), move, (columns, rows), flags=cv2.INTER_LINEAR)
        drawn = np.asarray(soft >= 0.5)
        if not drawn.any():  # a lesion of a few source pixels can fall between the frame's: its place stands for it
            row = round((mask.box.top + mask.box.bottom - 1) / 2 * self.scale + self.top - self.part.top * self.scale)
            column = round(
                (mask.box.left + mask.box.right - 1) / 2 * self.scale + self.left - self.part.left * self.scale
            )
            drawn[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)] = True
        return drawn


def frame(pixels: NDArray[np.float32], part: Box, size: Size) -> Frame:
    """Shows a part of an image in `size` pixels: aspect kept, centred, 0 around it.

    Args:
        pixels: rows × columns, float32 in 0..1.
        part: usually the breast's box; it lies within the image.
        size: of the frame.
    """
    cut = pixels[part.slices]
    height, width = rows_columns(size)
    scale = min(height / part.height, width / part.width)
    rows, columns = max(1, round(part.height * scale)), max(1, round(part.width * scale))
    resized = cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (height - rows) // 2, (width - columns) // 2
    framed = np.zeros((height, width), dtype=np.float32)
    framed[top : top + rows, left : left + columns] = _evened(np.asarray(resized, dtype=np.float32))
    return Frame(framed, part, scale, top, left)


def rows_columns(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _evened(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    step = max(1, max(pixels.shape) // _SAMPLE)
    dark, bright = np.percentile(pixels[::step, ::step], (_DARKEST, _BRIGHTEST))
    if bright - dark < _LEAST_CONTRAST:
        return np.zeros_like(pixels)
    return np.asarray(np.clip((pixels - dark) / (bright - dark), 0, 1), dtype=np.float32)
