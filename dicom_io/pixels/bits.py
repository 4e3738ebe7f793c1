"""The bits of a word that are a pixel's value (PS3.5 section 8.1.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_OVERSHOOT = 8
"""A lossy codec oversteps the range of its values by less than one part in so many."""
LOW_BITS = "The header's High Bit does not fit the pixels, whose values lie in the low bits: they were read there."


def stored_bits(
    words: NDArray[Any], width: int, bits_stored: int, high_bit: int, *, signed: bool, lossy: bool
) -> tuple[NDArray[Any], str | None]:
    """The values that `words` hold, without the bits that are not theirs: an overlay may lie there, or anything.

    A High Bit that the words do not have counts as the least that can be: codecs put the value into the low bits. So
    does one by which the words would hold nothing at all above the low bits, where all their values fit.

    Args:
        words: unsigned, with the value in their lowest `width` bits: Bits Allocated, or the precision of a codestream.
        high_bit: High Bit, counted from 0.
        signed: whether the values are in two's complement (Pixel Representation 1).
        lossy: whether a codec may have overstepped the greatest value: what lies just above is no overlay.

    Returns:
        The values, of the words' size, and a sentence where the header is not obeyed.
    """
    stored = min(bits_stored, width)
    lowest = stored - 1
    high = high_bit if lowest <= high_bit < width else lowest
    remark = LOW_BITS if high_bit < lowest else None
    if high != lowest and _all_lie_low(words, width, stored, high, signed):
        high, remark = lowest, LOW_BITS
    if lossy and high == lowest and stored < width:
        words = _without_overshoot(words, stored, signed)
    if stored == 8 * words.dtype.itemsize:
        return _as_numbers(words, signed), remark
    return _field(words, stored, high, signed), remark


def _field(words: NDArray[Any], stored: int, high: int, signed: bool) -> NDArray[Any]:
    container = 8 * words.dtype.itemsize
    values = _as_numbers(np.left_shift(words, container - 1 - high), signed)
    np.right_shift(values, container - stored, out=values)
    return values


def _as_numbers(words: NDArray[Any], signed: bool) -> NDArray[Any]:
    return words.view(words.dtype.str.replace("u", "i")) if signed else words


def _all_lie_low(words: NDArray[Any], width: int, stored: int, high: int, signed: bool) -> bool:
    """Whether every word is a value of `stored` bits, and has bits set where by High Bit none of the value's are."""
    if not int(np.bitwise_or.reduce(words, axis=None)) & ((1 << (high - stored + 1)) - 1):
        return False
    whole = _field(words, width, width - 1, signed)
    return bool((_field(words, stored, stored - 1, signed) == whole).all())


def _without_overshoot(words: NDArray[Any], stored: int, signed: bool) -> NDArray[Any]:
    greatest = (1 << stored) - 1
    found = int(words.max(initial=0))
    if signed or not greatest < found <= greatest + (greatest + 1) // _OVERSHOOT:
        return words
    clipped: NDArray[Any] = np.minimum(words, words.dtype.type(greatest))
    return clipped
