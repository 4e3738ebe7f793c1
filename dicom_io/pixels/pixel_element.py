"""Finds the position of the pixel data in a file by the lengths that the file states, without loading it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.dataset import FileDataset

from dicom_io.attributes import number
from dicom_io.errors import NotReadable

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEMS_END = 0xFFFEE000, 0xFFFEE0DD
_MOST_FRAGMENTS = 100_000
_STARTS_OF_IMAGE = (b"\xff\xd8", b"\xff\x4f")  # JPEG's and JPEG-LS's Start of Image, JPEG 2000's Start of Codestream
_END_OF_IMAGE = b"\xff\xd9"  # JPEG's and JPEG-LS's End of Image, JPEG 2000's End of Codestream
_KEYWORDS = {
    (0x7FE0, 0x0008): "FloatPixelData",
    (0x7FE0, 0x0009): "DoubleFloatPixelData",
    (0x7FE0, 0x0010): "PixelData",
}


class CutShort(NotReadable):
    """The file ends before its data set does."""


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `end` - 1 of a file."""

    start: int
    end: int


@dataclass(frozen=True)
class PixelElement:
    """The element that holds the pixels.

    Attributes:
        vr: as the file states it; "" in Implicit VR.
        value: position of the value, with its fragments and delimiter.
        fragments: positions of the fragments, without the Basic Offset Table; None if the pixel data is not
            encapsulated.
    """

    keyword: str
    vr: str
    value: Span
    fragments: tuple[Span, ...] | None


def find_pixels(file: BinaryIO, dataset: FileDataset) -> PixelElement | None:
    """Finds the pixel data at the position where the reading of `dataset` stopped; None if the file ends there.

    A final delimiter that is missing or zero is accepted if the frames are complete without it: there are as many
    fragments as frames, and the last ends with the end marker of its codestream.

    Raises:
        CutShort: the file ends within the pixel data, or another element stands there.
        NotReadable: the fragments are damaged.
    """
    position = file.tell()
    size = file.seek(0, 2)
    if position == size:
        return None
    file.seek(position)
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    head = file.read(8)
    if len(head) < 8:
        raise CutShort("The file is cut short before its pixel data.")
    keyword = _KEYWORDS.get(struct.unpack(order + "HH", head[:4]))
    if keyword is None:
        raise CutShort("The file is cut short or damaged before its pixel data.")
    vr = "" if implicit else head[4:6].decode("ascii", "replace")
    try:
        (length,) = struct.unpack(order + "L", head[4:] if implicit else file.read(4))
    except struct.error as cause:
        raise CutShort("The file is cut short before its pixel data.") from cause
    start = file.tell()
    if length != _UNDEFINED:
        if start + length > size:
            raise CutShort("The file is cut short within its pixel data.")
        return PixelElement(keyword, vr, Span(start, start + length), None)
    fragments = _fragments(file, size, int(number(dataset, "NumberOfFrames") or 1))
    return PixelElement(keyword, vr, Span(start, file.tell()), fragments)


def _fragments(file: BinaryIO, size: int, frames: int) -> tuple[Span, ...]:
    """The fragments without the Basic Offset Table. Afterwards the file is positioned after their delimiter."""
    found: list[Span] = []
    for _ in range(_MOST_FRAGMENTS):
        head = file.read(8)
        group, element, length = struct.unpack("<HHL", head) if len(head) == 8 else (0, 0, 0)
        tag = group << 16 | element
        if tag == _ITEMS_END:
            return _without_table(file, found)
        if tag != _ITEM or length == _UNDEFINED:
            if not any(head) and _are_whole(file, fragments := _without_table(file, found), frames, size):
                return fragments
            if len(head) < 8:
                break
            raise NotReadable("The fragments of the pixel data are damaged.")
        start = file.tell()
        if file.seek(length, 1) > size:
            break
        found.append(Span(start, start + length))
    raise CutShort("The file is cut short within its pixel data.")


def _without_table(file: BinaryIO, items: list[Span]) -> tuple[Span, ...]:
    """Removes the first item, the Basic Offset Table (PS3.5 section A.4), unless the writer left it out."""
    position = file.tell()
    start = b""
    if items:
        file.seek(items[0].start)
        start = file.read(min(2, items[0].end - items[0].start))
        file.seek(position)
    return tuple(items if start in _STARTS_OF_IMAGE else items[1:])


def _are_whole(file: BinaryIO, fragments: tuple[Span, ...], frames: int, size: int) -> bool:
    """Whether only the delimiter is missing: only zeros follow, and the last codestream has its end marker."""
    if not fragments or len(fragments) < frames:
        return False
    position, last = file.tell(), fragments[-1]
    rest = file.read(min(size - position, 1 << 16))
    file.seek(max(last.start, last.end - 64))
    end = file.read(last.end - file.tell())
    file.seek(size)
    return not any(rest) and position + len(rest) == size and end.rstrip(b"\0").endswith(_END_OF_IMAGE)
