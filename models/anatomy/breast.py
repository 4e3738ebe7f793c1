"""Where the breast is in a mammogram: its mask, its box and the image edge that the chest wall is on."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from models.types.region import Box

Side = Literal["left", "right"]

_SCALE = 8
"""The mask is found on a copy this many times smaller: fine enough for a skin line, fast on 4,000 rows."""
_SMALLEST_SIDE = 96
"""A copy never gets a shorter side than this many pixels, so that small images keep a shape at all."""
_ROOT = 1 / 3
"""Greys are compared by their cube root: it lifts fat away from air, so that Otsu finds the skin, not the gland."""
_EVEN = 0.9
"""Halves of an image whose shares of the breast differ by less do not tell the chest wall's side."""
_LACE, _FRAME, _GAP = 7, 21, 15
"""Pixels of the copy: dark meshes closed at first; bright frames of a scanned film cut off; bays closed at last."""


def breast_mask(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The pixels of the breast (pectoral muscle included), without labels, markers and a film's noisy background.

    Otsu's threshold (IEEE Trans. SMC 9, 1979) on the cube root of the greys, then the largest component, with its
    holes filled.

    Args:
        pixels: rows × columns, float32 in 0..1, dense tissue bright.

    Returns:
        bool, of the same shape; all False where the image holds nothing but one grey.
    """
    rows, columns = pixels.shape
    factor = max(1, min(_SCALE, min(rows, columns) // _SMALLEST_SIDE))
    size = (max(1, columns // factor), max(1, rows // factor))
    small = cv2.GaussianBlur(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), (5, 5), 0)
    whole = _filled(_closed(_largest(_unframed(_closed(_tissue(small), _LACE))), _GAP))
    return cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_NEAREST).astype(np.bool_)


def breast_box(pixels: NDArray[np.float32]) -> Box:
    """The smallest box round the breast; the whole image where no breast is found."""
    return Box.around(breast_mask(pixels)) or Box(0, 0, *pixels.shape)


def breast_side(pixels: NDArray[np.float32]) -> Side | None:
    """The image edge that the chest wall is on: the breast lies against it and tapers away from it.

    Returns:
        "left" or "right" edge of the image; None where no breast is found, or as much of it on either side.
    """
    return mask_side(breast_mask(pixels))


def mask_side(mask: NDArray[np.bool_]) -> Side | None:
    """`breast_side` of an image whose breast is known."""
    by_column = mask.sum(axis=0)
    half = by_column.size // 2
    left, right = int(by_column[:half].sum()), int(by_column[-half:].sum())
    if min(left, right) >= _EVEN * max(left, right):
        return None
    return "left" if left > right else "right"


def _tissue(small: MatLike) -> MatLike:
    """What is not air (0 or 1); nothing where there is but one grey."""
    levels = np.round(255 * np.clip(small, 0, 1) ** _ROOT).astype(np.uint8)
    if levels.min() == levels.max():
        return np.zeros_like(levels)
    return cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]


def _closed(shape: MatLike, gap: int) -> MatLike:
    return cv2.morphologyEx(shape, cv2.MORPH_CLOSE, _disc(gap))


def _unframed(shape: MatLike) -> MatLike:
    # Beyond the image lies air, not more frame: hence the border value.
    return cv2.morphologyEx(shape, cv2.MORPH_OPEN, _disc(_FRAME), borderType=cv2.BORDER_CONSTANT, borderValue=0)


def _disc(diameter: int) -> MatLike:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))


def _largest(shape: MatLike) -> MatLike:
    """The component with the most pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(shape, connectivity=4)
    if len(stats) == 1:
        return np.zeros_like(shape)
    return np.equal(labels, 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)


def _filled(shape: MatLike) -> MatLike:
    """`shape` without holes."""
    outlines, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    whole = np.zeros_like(shape)
    cv2.drawContours(whole, outlines, -1, 1, cv2.FILLED)
    return whole
