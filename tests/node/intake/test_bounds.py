"""A data set that exceeds what any object needs is refused before it is parsed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, strategies
from memory import assert_allocates_at_most
from pydicom.uid import DeflatedExplicitVRLittleEndian
from wire import Wire, context, one_store

from dicom_io.bounds import (
    DEEPEST,
    DEEPEST_OF_CONTENT,
    LONGEST,
    MOST_BYTES,
    MOST_ELEMENTS_OF_CONTENT,
    MOST_ITEMS,
    MOST_ITEMS_OF_CONTENT,
    check_bounds,
)
from dicom_io.errors import NotReadable
from dicom_io.network.answers import Answer, Status
from dicom_io.network.scu import content_of
from dicom_io.pixels.decoding import read_dataset
from dicom_io.pixels.intact import read_up_to_pixels, read_whole_file
from dicom_io.segmentations import read_header

pytestmark = pytest.mark.slow

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
CONTENT, REFERENCED = 0x0040A730, 0x00081140
MOST = {CONTENT: MOST_ITEMS_OF_CONTENT, REFERENCED: MOST_ITEMS}


def tagged(tag: int, order: str) -> bytes:
    return struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)


def delimiter(tag: int, length: int = 0, order: str = "<") -> bytes:
    return tagged(tag, order) + struct.pack(order + "L", length)


def element(tag: int, vr: bytes, value: bytes, order: str = "<", length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if not vr:
        return tagged(tag, order) + struct.pack(order + "L", size) + value
    if vr in (b"SQ", b"UN", b"OB", b"UC", b"UT"):
        return tagged(tag, order) + vr + b"\0\0" + struct.pack(order + "L", size) + value
    return tagged(tag, order) + vr + struct.pack(order + "H", size) + value


def many_items(vr: bytes, order: str, *, undefined: bool, tag: int = CONTENT) -> bytes:
    items = delimiter(ITEM, order=order) * (MOST[tag] + 1)
    end = delimiter(SEQUENCE_END, order=order) if undefined else b""
    return element(tag, vr, items + end, order, UNDEFINED if undefined else None)


def nest(tag: int, levels: int) -> bytes:
    return (element(tag, b"SQ", delimiter(ITEM, UNDEFINED), length=UNDEFINED)) * levels


BOMBS = {
    f"items of {tag:08X}, {name}, {'un' if undefined else ''}defined": (
        many_items(vr, order, undefined=undefined, tag=tag),
        vr,
        order,
    )
    for tag in MOST
    for name, vr, order in (
        ("explicit", b"SQ", "<"),
        ("implicit", b"", "<"),
        ("big", b"SQ", ">"),
        ("unknown", b"UN", "<"),
    )
    for undefined in (True, False)
} | {
    "levels of the header": (nest(REFERENCED, DEEPEST), b"SQ", "<"),
    "levels of the content": (nest(CONTENT, DEEPEST_OF_CONTENT), b"SQ", "<"),
    "elements": (b"".join(element(0x00090000 + n, b"US", b"") for n in range(0x1000, 0x5000)) * 20, b"SQ", "<"),
    "bytes": (element(0x00091010, b"LO", bytes(60_000)) * (MOST_BYTES // 60_000 + 1), b"SQ", "<"),
    "numbers of one value": (element(0x00181164, b"", b"1\\" * LONGEST), b"", "<"),
    "numbers said to be unknown": (element(0x00181164, b"UN", b"1\\" * LONGEST), b"UN", "<"),
    "texts of one value": (element(0x00091010, b"UC", b"\\" * (LONGEST + 2)), b"UC", "<"),
    "a text": (element(0x00204000, b"UT", b" " * (MOST_BYTES + 2)), b"UT", "<"),
    "a UID said to be bytes": (element(0x0020000D, b"OB", b" " * (LONGEST + 2)), b"OB", "<"),
    "items in items": (
        element(REFERENCED, b"SQ", delimiter(ITEM, 8 * MOST_ITEMS) + delimiter(ITEM) * MOST_ITEMS, length=UNDEFINED),
        b"SQ",
        "<",
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_object_with_too_many_elements_is_refused_without_using_memory(bomb: str):
    data, vr, order = BOMBS[bomb]
    # The file itself is on disk.
    with assert_allocates_at_most(2_000_000), pytest.raises(NotReadable, match="More than"):
        check_bounds(io.BytesIO(data), 0, implicit=not vr, little=order == "<")


@pytest.mark.parametrize("bomb", BOMBS)
def test_the_reason_of_a_refusal_fits_into_the_error_comment(bomb: str):
    data, vr, order = BOMBS[bomb]
    with pytest.raises(NotReadable) as refused:
        check_bounds(io.BytesIO(data), 0, implicit=not vr, little=order == "<")
    assert Answer.shortened(Status.NOT_DICOM, str(refused.value)).comment == str(refused.value)


@given(strategies.text(max_size=200))
def test_any_sentence_becomes_a_valid_error_comment(sentence: str):
    comment = Answer.shortened(Status.NOT_DICOM, sentence).comment
    assert len(comment) <= 64
    if sentence.isascii() and sentence.isprintable() and "\\" not in sentence:
        assert comment == " ".join(sentence.split())[:64]


def test_a_value_of_a_million_bytes_in_a_header_is_refused_with_its_reason(listening_node, mammogram):
    image = mammogram()
    image.add_new(0x00181164, "UC", "1\\" * LONGEST)
    answer = listening_node.store(image)
    assert (answer.Status, answer.ErrorComment) == (
        Status.NOT_DICOM,
        "More than 1000000 bytes in one value of its header.",
    )


def assert_within_bounds(data: bytes, *, implicit: bool, little: bool) -> None:
    check_bounds(io.BytesIO(data), 0, implicit=implicit, little=little)


def test_the_limits_do_not_count_pixel_data():
    fragments = delimiter(ITEM, 2) + b"ab"
    data = element(0x7FE00010, b"OB", fragments * (MOST_ITEMS + 1) + delimiter(SEQUENCE_END), length=UNDEFINED)
    assert_within_bounds(element(0x00280002, b"US", b"\1\0") + data, implicit=False, little=True)


def test_the_limits_do_not_count_bulk_data():
    data = element(0x00091010, b"OB", bytes(MOST_BYTES + 2)) + element(0x00283006, b"UN", bytes(MOST_BYTES + 2))
    assert_within_bounds(data, implicit=False, little=True)
    assert_within_bounds(element(0x60003000, b"", bytes(MOST_BYTES + 2)), implicit=True, little=True)


def test_the_header_of_a_large_segmentation_is_within_the_limits():
    inner = element(0x00209113, b"SQ", delimiter(ITEM, 12) + element(0x00200032, b"DS", b"1\\2 "))
    frame = delimiter(ITEM, 7 * len(inner)) + inner * 7
    data = element(0x52009230, b"SQ", frame * 5000)
    assert_within_bounds(data, implicit=False, little=True)
    assert MOST_ELEMENTS_OF_CONTENT > 2 * 7 * 5000


READERS = {
    "receiving": lambda path: read_whole_file(path, 1 << 20),
    "decoding": lambda path: read_dataset(path, 1 << 20),
    "headers": read_header,
    "the archive": read_up_to_pixels,
    "sending": content_of,
}


@pytest.mark.parametrize("reads", READERS.values(), ids=READERS)
@pytest.mark.parametrize("undefined", [True, False], ids=["", "with lengths"])
@pytest.mark.parametrize("number", [0x0000, 0x0102])
def test_sequences_in_the_meta_information_are_refused_before_pydicom_writes_them_into_its_log(
    reads: Callable[[Path], object], undefined: bool, number: int, tmp_path: Path, mammogram, raw_bytes
) -> None:
    """Each level through which an exception passes makes pydicom's message nearly three times as long."""
    nested = element(0x00080010, b"US", b"\0\0\0")
    for _ in range(40):
        item = delimiter(ITEM, len(nested)) + nested
        ended = item + delimiter(SEQUENCE_END) if undefined else item
        nested = element(0x00020000 | number, b"SQ", ended, length=UNDEFINED if undefined else None)
    syntax = element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")
    path = tmp_path / "image.dcm"
    path.write_bytes(bytes(128) + b"DICM" + nested + syntax + raw_bytes(mammogram()))
    with pytest.raises(NotReadable, match="holds a sequence"):
        reads(path)


@given(strategies.binary(max_size=400), strategies.booleans(), strategies.booleans())
def test_the_check_of_limits_ends_for_any_bytes(data: bytes, implicit: bool, little: bool):
    assert_within_bounds(data, implicit=implicit, little=little)


def test_a_few_deflated_kilobytes_of_items_are_refused_and_the_next_object_is_kept(
    listening_node, mammogram, raw_bytes
):
    image = raw_bytes(mammogram())
    bomb = image[: image.index(struct.pack("<HH", 0x0028, 0x0002))] + many_items(b"SQ", "<", undefined=True)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflater.compress(bomb) + deflater.flush()
    packed += b"\0" * (len(packed) % 2)
    assert len(packed) < 6000
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate(contexts=[context(1, "1.2.840.10008.5.1.4.1.1.1.2", DeflatedExplicitVRLittleEndian)]) == 2
        peer.send(one_store(1, packed))
        assert peer.status() == Status.NOT_DICOM
    assert listening_node.store(mammogram()).Status == Status.SUCCESS
