"""A classifier's inputs: the whole image and its lesions."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.anatomy.breast import breast_box
from models.framing import Frame, frame
from models.types.mammogram import Mammogram
from models.types.region import Box

LESION_PX = 224
PADDING_PX = 20
"""A lesion is shown in 224 × 224 pixels, with a margin of 20 (Guo, Cai and Dungey)."""


def breast_frame(image: Mammogram, side: int) -> Frame:
    """The breast in a frame, side × side, from which both kinds of input are cut."""
    return frame(image.pixels, breast_box(image.pixels), side)


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


def image_picture(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The network's input for a whole frame: side × side."""
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)
