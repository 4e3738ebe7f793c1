"""Extracts the stored bits of each pixel from its word (PS3.5 section 8.1.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_OVERSHOOT = 8
"""A lossy codec exceeds the range of values by less than one eighth of it."""
LOW_BITS = "The header's High Bit does not fit the pixels, whose values lie in the low bits: they were read there."


def stored_bits(
    words: NDArray[Any], width: int, bits_stored: int, high_bit: int, *, signed: bool, lossy: bool
) -> tuple[NDArray[Any], str | None]:
    """The values that `words` hold, without the other bits, which may hold an overlay or anything else.

    The values are read from the low bits, where codecs put them, if High Bit lies outside the words, and also if all
    values fit into the low bits and High Bit would cut off set bits of them.

    Args:
        words: unsigned, with values in their lowest `width` bits: Bits Allocated, or the precision of a codestream.
        high_bit: High Bit, counted from 0.
        signed: whether the values are in two's complement (Pixel Representation 1).
        lossy: whether a codec may have exceeded the greatest value: values just above it are no overlay.

    Returns:
        The values, in words of the same size, and a sentence if the header is not followed.
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
    """Whether every word is a value of `stored` low bits, and bits are set below the field that High Bit describes."""
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
