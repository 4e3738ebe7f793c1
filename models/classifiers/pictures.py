"""A classifier's inputs: the whole image and its lesions."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.framing import Size, rows_columns
from models.types.region import Box

LESION_PX = 224
PADDING_PX = 20
"""A lesion is shown in 224 × 224 pixels, with a margin of 20 (Guo, Cai and Dungey)."""
_LARGEST = 0.8
"""The largest share of a picture's side that a lesion fills if the tissue around it is shown too."""


def lesion_picture(pixels: NDArray[np.float32], drawn: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The network's input for a lesion: 224 × 224, 0 outside the mask, its long side 184 pixels, centred.

    Args:
        pixels: a frame's, or a part of one, 0..1.
        drawn: the lesion's mask, of the same shape; if it is empty, the result is all 0.
    """
    picture = np.zeros((LESION_PX, LESION_PX), dtype=np.float32)
    box = Box.around(drawn)
    if box is None:
        return picture
    shown = np.where(drawn[box.slices], pixels[box.slices], np.float32(0))
    scale = (LESION_PX - 2 * PADDING_PX) / max(shown.shape)
    height, width = (max(1, round(length * scale)) for length in shown.shape)
    resized = cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (LESION_PX - height) // 2, (LESION_PX - width) // 2
    picture[top : top + height, left : left + width] = resized
    return picture


def with_surroundings(pixels: NDArray[np.float32], box: Box, wider: float = 1.0) -> NDArray[np.float32]:
    """The network's input for a lesion with the tissue around it: 224 × 224, the lesion in the middle, at the frame's
    scale, or smaller if the lesion would fill more than 0.8 of it. Outside the frame it is 0, like air.

    Args:
        pixels: a frame's, 0..1.
        box: the lesion's in the frame.
        wider: shows this many times as much in as many times the pixels, for cuts at other places (training).
    """
    zoom = min(1.0, _LARGEST * LESION_PX / max(box.height, box.width))
    shown, side = round(wider * LESION_PX / zoom), round(wider * LESION_PX)
    top, left = (box.top + box.bottom - shown) // 2, (box.left + box.right - shown) // 2
    window = np.zeros((shown, shown), dtype=np.float32)
    rows, columns = pixels.shape
    part = Box(max(0, top), max(0, left), min(rows, top + shown), min(columns, left + shown))
    window[part.top - top : part.bottom - top, part.left - left : part.right - left] = pixels[part.slices]
    return np.asarray(cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)


def middle_of(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The middle side × side pixels."""
    top, left = ((length - side) // 2 for length in pixels.shape)
    return pixels[top : top + side, left : left + side]


def image_picture(pixels: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """The network's input for a whole frame: squashed to a square (`size` is its side), or within rows and columns, its
    proportions kept, in the middle of 0."""
    if isinstance(size, int):
        return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA), dtype=np.float32)
    most = rows_columns(size)
    scale = min(room / length for room, length in zip(most, pixels.shape, strict=True))
    rows, columns = (max(1, round(length * scale)) for length in pixels.shape)
    picture = np.zeros(most, dtype=np.float32)
    top, left = (most[0] - rows) // 2, (most[1] - columns) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture[top : top + rows, left : left + columns] = cv2.resize(pixels, (columns, rows), interpolation=how)
    return picture
