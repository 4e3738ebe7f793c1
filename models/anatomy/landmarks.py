"""Landmarks of a breast that are found from its outline: the nipple."""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from models.anatomy.breast import breast_mask, mask_side

_OBLIQUE_VIEWS = frozenset({"MLO", "LMO"})

_LONG_SIDE = 512
"""The skin line is found on a copy with at most this many pixels on its long side: a nipple is still 10 pixels wide."""
_TILT_DEG = 20.0
"""In an oblique view the nipple points this far below the horizontal."""
_BAND = 31
"""Pixels of the copy: the skin is within half of this distance from the mask's edge."""


def find_nipple(
    pixels: NDArray[np.float32], view: str | None, breast: NDArray[np.bool_] | None = None
) -> tuple[int, int] | None:
    """The estimated row and column of the nipple; None if no breast or no chest wall is found.

    It is the point of the skin line that is farthest from the chest wall: from the image's edge in a cranio-caudal or
    lateral view, from a line tilted like the pectoral muscle in an oblique view (docs/two_views.md has the error).

    Args:
        pixels: rows × columns, float32 in 0..1, dense tissue bright, the patient's head up.
        view: DICOM view abbreviation; None if it is not known: then the view counts as not oblique.
        breast: its mask, if it is known already.
    """
    scale = min(1.0, _LONG_SIDE / max(pixels.shape))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    # INTER_AREA takes longer than all other steps together and gives the same result.
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    breast = breast_mask(pixels) if breast is None else breast
    mask = cv2.resize(breast.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    side = mask_side(mask.astype(np.bool_))
    if side is None:
        return None
    rows, columns = np.nonzero(_to_the_skin(small, mask))
    if not rows.size:
        return None
    down, outwards = axis_of(view)
    farthest = int(np.argmax(down * rows + outwards * (columns if side == "left" else -columns)))
    row, column = (int((place[farthest] + 0.5) / scale) for place in (rows, columns))
    return min(row, pixels.shape[0] - 1), min(column, pixels.shape[1] - 1)


def axis_of(view: str | None) -> tuple[float, float]:
    """The unit vector in which the nipple points: its components down the image and away from the chest wall."""
    tilt = np.deg2rad(_TILT_DEG if view in _OBLIQUE_VIEWS else 0.0)
    return float(np.sin(tilt)), float(np.cos(tilt))


def _to_the_skin(small: MatLike, mask: MatLike) -> MatLike:
    """The mask with its edge moved to where air begins, so that it includes the nipple: the mask itself is too
    smooth."""
    levels = np.round(255 * np.clip(cv2.GaussianBlur(small, (3, 3), 0), 0, 1) ** (1 / 3)).astype(np.uint8)
    tissue = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
    band = np.ones((_BAND, _BAND), np.uint8)
    inner, outer = cv2.erode(mask, band[::2, ::2]), cv2.dilate(mask, band)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        cv2.bitwise_or(cv2.bitwise_and(tissue, outer), inner), connectivity=4
    )
    if len(stats) == 1:
        return np.zeros_like(mask)
    return np.equal(labels, 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
