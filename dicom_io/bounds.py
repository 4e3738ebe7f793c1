"""Limits on the size of a data set's structure, checked before the data set is parsed.

A few deflated kilobytes can hold a million empty items, and each item needs a hundred times its size when it is parsed.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from dicom_io.errors import NotReadable

CONTENT = frozenset({0x0040A730, 0x52009230})
"""Content Sequence and Per-Frame Functional Groups Sequence: large, and not needed for receiving."""
MOST_ELEMENTS, MOST_ELEMENTS_OF_CONTENT = 100_000, 300_000
MOST_ITEMS, MOST_ITEMS_OF_CONTENT = 20_000, 50_000
"""A segmentation of 5,000 frames has about 40,000 items in its content, and refers to 5,000 instances in its header."""
DEEPEST, DEEPEST_OF_CONTENT = 20, 100
"""Nested sequences and items; a content tree of 20 levels has 40. For a value that cannot be read, pydicom's error
message becomes nearly three times as long per nested sequence: 80 MB for ten."""
MOST_BYTES = 32_000_000
"""Bytes of all values that are no bulk data."""
LONGEST = 1_000_000
"""Bytes of one value that is no bulk data and no plain text: 500,000 numbers, each of which becomes an object."""
_SHORT = 1 << 16
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs with a 32-bit length (PS3.5 section 7.1.2)."""
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""VRs of bulk data: values that are not converted, and not read until they are used."""
_PLAIN = frozenset({"LT", "ST", "UR", "UT"})
"""VRs of text that a backslash does not split (PS3.5 section 6.2)."""
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)


def check_bounds(file: BinaryIO, start: int, *, implicit: bool, little: bool) -> dict[int, int]:
    """Walks over the elements from `start` to the pixel data, or to the first damaged element.

    Returns:
        The end position of each element of CONTENT, by its start position.

    Raises:
        NotReadable: there are more elements, items, levels or bytes than any object that the node can use.
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
    """The bytes of a value that are kept in memory, and the bytes that become a list of values."""
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
