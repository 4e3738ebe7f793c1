"""Finds pixels that the header wrongly states as signed (Pixel Representation 1, PS3.3 section C.7.6.3.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SURELY = 0.75
"""Part of the range of values. Neighbours that differ by more as signed values are close as unsigned values."""
READ_UNSIGNED = "The header says that the pixels are signed, and they are not: they were read as unsigned."
IN_DOUBT = "Pixels that the header's Pixel Representation makes the darkest may be the brightest: it was obeyed."


def without_false_sign(values: NDArray[Any], stored: int, greatest_shown: float) -> tuple[NDArray[Any], str | None]:
    """The signed values, or the unsigned values of the same bits where only these make a continuous image.

    If the highest bit of unsigned values is read as a sign, a bright region that crosses the middle of the range jumps
    from the greatest value to the least. Values that are really signed pass through zero.

    Args:
        values: rows × columns, signed, of `stored` bits.
        greatest_shown: the greatest stored value that a window of the header shows. If it exceeds the greatest signed
            value, the window was made for unsigned values.

    Returns:
        The values, and a sentence if the header is not followed or may be wrong.
    """
    steps = []
    for left, right in ((values[:, :-1], values[:, 1:]), (values[:-1], values[1:])):
        across = (left < 0) != (right < 0)
        steps.append(np.abs(left[across].astype(np.int64) - right[across]))
    across_zero = np.concatenate(steps)
    if not across_zero.size or (step := float(across_zero.mean()) / (1 << stored)) <= 0.5:
        return values, None
    if step > _SURELY or greatest_shown > 1.1 * (1 << (stored - 1)):
        unsigned = values.astype(np.int64) & ((1 << stored) - 1)
        return unsigned.astype(f"uint{8 * values.dtype.itemsize}"), READ_UNSIGNED
    return values, IN_DOUBT
