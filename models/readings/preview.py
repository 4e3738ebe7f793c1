"""A small copy of an image, for pages that people look at."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types.mammogram import Mammogram
from models.types.reading import PREVIEW_ROWS


def preview_of(image: Mammogram) -> NDArray[np.uint8]:
    """The image as uint8 with at most PREVIEW_ROWS rows, made once; the aspect ratio is kept."""
    return image.kept("preview", lambda: _reduced(image.pixels))


def _reduced(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    rows, columns = pixels.shape
    if rows > PREVIEW_ROWS:
        size = (max(1, round(columns * PREVIEW_ROWS / rows)), PREVIEW_ROWS)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
