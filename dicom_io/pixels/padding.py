"""Which pixels are padding (PS3.3 §C.7.5.1.1.2): those with the padding value that reach the border of the image.

Padding lies around the picture. A saturated lesion or a marker may have the same value: inside the picture it stays.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.attributes import number

_NOTHING_LEFT = "By the header's Pixel Padding Value nothing of the image is left: it was not used."
_WITHIN = (
    "Pixels within the picture have the header's Pixel Padding Value: they are shown and read like others, and may be "
    "a saturated lesion, a marker, or a hole in the picture."
)
_SMALLEST = 25
"""Pixels: a smaller group inside the picture is noise, of which the report says nothing."""


def outside_padding(dataset: Dataset, stored: NDArray[Any]) -> tuple[NDArray[np.bool_], str | None]:
    """A mask of the pixels that are no padding (PS3.3 §C.7.5.1.1.2: Pixel Padding Value, or its range).

    With a sentence for the report if the padding would cover the whole image, and is ignored, or if its value is also
    within the picture.
    """
    everywhere = np.ones(stored.shape, dtype=np.bool_)
    value = number(dataset, "PixelPaddingValue")
    if value is None:
        return everywhere, None
    limit = number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted(_as_stored(dataset, bound, stored.dtype) for bound in (value, value if limit is None else limit))
    alike = (stored >= low) & (stored <= high)
    picture = stored[~alike]
    if not picture.size or picture.min() == picture.max():
        return everywhere, _NOTHING_LEFT
    del picture
    at_border, is_within = _at_border(alike)
    return ~at_border, _WITHIN if is_within else None


def _at_border(alike: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], bool]:
    """The pixels whose group (8 neighbours) reaches the border, and whether a group within has `_SMALLEST` pixels."""
    count, groups, facts, _ = cv2.connectedComponentsWithStats(alike.astype(np.uint8), connectivity=8)
    reaching = np.zeros(count, dtype=np.bool_)
    for edge in (groups[0], groups[-1], groups[:, 0], groups[:, -1]):
        reaching[edge] = True
    reaching[0] = False  # the pixels that are not alike
    within = facts[1:, cv2.CC_STAT_AREA][~reaching[1:]]
    found: NDArray[np.bool_] = reaching[groups]
    return found, bool(within.size and within.max() >= _SMALLEST)


def _as_stored(dataset: Dataset, value: float, dtype: np.dtype[Any]) -> float:
    """A padding value in the sign and bits of the pixels; some headers state it with more bits."""
    bits = int(number(dataset, "BitsStored") or 16)
    signed = dtype.kind != "u" and number(dataset, "PixelRepresentation") == 1
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    return value if low <= value < high else (value - low) % (1 << bits) + low
