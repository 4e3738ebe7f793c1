"""How much a data set may ask of whoever reads it, counted before anything is built of it.

A few kilobytes, deflated, can hold a million empty items, each of which costs a parser a hundred times its size.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from dicom_io.errors import NotReadable

CONTENT = frozenset({0x0040A730, 0x52009230})
"""Content Sequence and Per-Frame Functional Groups Sequence: large, and of no use to whoever only receives."""
MOST_ELEMENTS, MOST_ELEMENTS_OF_CONTENT = 100_000, 300_000
MOST_ITEMS, MOST_ITEMS_OF_CONTENT = 20_000, 50_000
"""A segmentation of 5,000 frames has some 40,000 in its content, and refers to 5,000 instances besides."""
DEEPEST, DEEPEST_OF_CONTENT = 20, 100
"""Sequences and items within one another; a structured report's content tree of 20 levels has 40. Where a value cannot
be read, each sequence that it lies in makes pydicom's message of it nearly three times as long: 80 MB for ten."""
MOST_BYTES = 32_000_000
"""Of all values that are no bulk data."""
LONGEST = 1_000_000
"""Bytes of one value that is no bulk data and no plain text: a list of 500,000 numbers, each of them an object."""
_SHORT = 1 << 16
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs whose length takes 32 bits (PS3.5 section 7.1.2)."""
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""VRs of values that stay bytes, and that nobody reads who does not want them."""
_PLAIN = frozenset({"LT", "ST", "UR", "UT"})
"""VRs of text that no backslash parts (PS3.5 section 6.2)."""
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)


def check_bounds(file: BinaryIO, start: int, *, implicit: bool, little: bool) -> dict[int, int]:
    """Walks over the elements from `start` up to the pixel data, as far as they can be followed.

    Returns:
        Where each element of CONTENT begins, and where the one after it does.

    Raises:
        NotReadable: there are more elements, items, levels or bytes than any object has that this node could use.
    """
    order = "<" if little else ">"
    elements, items, size, longest = [0, 0], [0, 0], 0, 0  # the first two: of the header, of the content
    size_of_file = file.seek(0, 2)
    at, content, found = start, None, dict[int, int]()
    levels: list[tuple[int | None, bool]] = []  # where each sequence or item ends, and whether it has no VRs
    while True:
        while levels and (end := levels[-1][0]) is not None and at >= end:
            at = end
            levels.pop()
        if content is not None and not levels:
            found[content], content = at, None
        file.seek(at)
        head = file.read(12)
        if len(head) < 8:
            return found
        group, number, length = struct.unpack_from(order + "HHL", head)
        tag = group << 16 | number
        at += 8
        bare = levels[-1][1] if levels else implicit
        if tag in (_ITEM_END, _SEQUENCE_END):
            if levels:
                levels.pop()
            continue
        if not levels and tag in PIXELS:
            return found
        if not levels and tag in CONTENT:
            content = at - 8
        if tag == _ITEM:
            items[content is not None] += 1
            levels.append((None if length == _UNDEFINED else at + length, bare))
        else:
            elements[content is not None] += 1
            vr = b"" if bare else head[4:6]
            if vr in _LONG and len(head) == 12:
                (length,) = struct.unpack_from(order + "L", head, 8)
                at += 4
            elif vr.isalpha() and vr.isupper():
                (length,) = struct.unpack_from(order + "H", head, 6)
            unknown = bare or vr == b"UN"  # an unknown sequence is encoded without VRs (PS3.5 section 6.2.2)
            if length == _UNDEFINED:
                levels.append((None, unknown))
            elif length >= 8 and vr in (b"", b"SQ", b"UN") and _begins_with_an_item(file, at, order):
                levels.append((at + length, unknown))
            else:
                held, listed = _costs(tag, vr.decode("latin-1"), min(length, size_of_file - at))
                size, longest = size + held, max(longest, listed)
                at += length
        depth = len(levels)
        _check(elements, items, (depth, 0) if content is None else (0, depth), size, longest)


def _costs(tag: int, vr: str, length: int) -> tuple[int, int]:
    """The bytes of a value that are held in memory, and those that become a list of values."""
    if length <= _SHORT:
        return max(length, 0), 0
    known = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
    is_bulk = (not vr or vr in _BULK) and not _BULK.isdisjoint(known.split(" or "))
    if is_bulk:
        return 0, 0
    read_as = known if vr in ("", "UN") else vr
    return length, 0 if read_as in _PLAIN else length


def _begins_with_an_item(file: BinaryIO, at: int, order: str) -> bool:
    file.seek(at)
    return file.read(4) == struct.pack(order + "HH", _ITEM >> 16, _ITEM & 0xFFFF)


def _check(elements: list[int], items: list[int], levels: tuple[int, int], size: int, longest: int) -> None:
    for count, most, what in (
        (elements[0], MOST_ELEMENTS, "elements in its header"),
        (elements[1], MOST_ELEMENTS_OF_CONTENT, "elements in its content"),
        (items[0], MOST_ITEMS, "items in its header"),
        (items[1], MOST_ITEMS_OF_CONTENT, "items in its content"),
        (levels[0], DEEPEST, "levels of sequences in its header"),
        (levels[1], DEEPEST_OF_CONTENT, "levels of sequences in its content"),
        (size, MOST_BYTES, "bytes in its header"),
        (longest, LONGEST, "bytes in one value of its header"),
    ):
        if count > most:
            raise NotReadable(f"More than {most} {what}.")
