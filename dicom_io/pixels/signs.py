"""Whether pixels that the header calls signed are (Pixel Representation 1, PS3.3 section C.7.6.3.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SURELY = 0.75
"""Of the range of values: neighbours farther apart than that as signed values lie side by side as unsigned ones."""
READ_UNSIGNED = "The header says that the pixels are signed, and they are not: they were read as unsigned."
IN_DOUBT = "Pixels that the header's Pixel Representation makes the darkest may be the brightest: it was obeyed."


def without_false_sign(values: NDArray[Any], stored: int, greatest_shown: float) -> tuple[NDArray[Any], str | None]:
    """Signed values, or the unsigned ones that their bits stand for where the picture is whole only by these.

    Where the highest bit of unsigned values is taken for a sign, a bright region that crosses the middle of the range
    falls from the greatest value to the least; where signed values are, it passes through zero.

    Args:
        values: rows × columns, signed, of `stored` bits.
        greatest_shown: the greatest stored value that a window of the header shows; beyond the greatest signed value it
            was meant for unsigned ones.

    Returns:
        The values, and a sentence where the header is not obeyed or may be wrong.
    """
    steps = []
    for one, next_to_it in ((values[:, :-1], values[:, 1:]), (values[:-1], values[1:])):
        across = (one < 0) != (next_to_it < 0)
        steps.append(np.abs(one[across].astype(np.int64) - next_to_it[across]))
    across_zero = np.concatenate(steps)
    if not across_zero.size or (step := float(across_zero.mean()) / (1 << stored)) <= 0.5:
        return values, None
    if step > _SURELY or greatest_shown > 1.1 * (1 << (stored - 1)):
        unsigned = values.astype(np.int64) & ((1 << stored) - 1)
        return unsigned.astype(f"uint{8 * values.dtype.itemsize}"), READ_UNSIGNED
    return values, IN_DOUBT
