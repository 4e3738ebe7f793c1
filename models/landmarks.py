"""Landmarks of a breast that can be told from its outline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def find_nipple(pixels: NDArray[np.float32]) -> tuple[int, int] | None:
    """The row and column of the nipple, estimated; None where no breast or no chest wall is found.

    Args:
        pixels: rows × columns, float32 in 0..1, dense tissue bright.
    """
    return None
