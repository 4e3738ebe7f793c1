"""Values on which pydicom fails: a final answer, a row for every file, and other senders are served."""

from __future__ import annotations

import struct

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from dicom_io.network.answers import Status

pytestmark = pytest.mark.slow

SR = "1.2.840.10008.5.1.4.1.1.88.33"


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    long = vr in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    return head + (struct.pack("<HL", 0, len(value)) if long else struct.pack("<H", len(value))) + value


def nested(tag: int, depth: int, undefined: bool) -> bytes:
    """Items within items, of stated or of undefined length."""
    value = b""
    for _ in range(depth):
        length = 0xFFFFFFFF if undefined else len(value)
        item = struct.pack("<HHL", 0xFFFE, 0xE000, length) + value
        item += struct.pack("<HHL", 0xFFFE, 0xE00D, 0) if undefined else b""
        outer = 0xFFFFFFFF if undefined else len(item)
        value = struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"SQ", 0, outer) + item
        value += struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) if undefined else b""
    return value


def a_report(content: bytes, uid: str = "1.2.3.1") -> bytes:
    return (
        element(0x00080016, b"UI", SR.encode())
        + element(0x00080018, b"UI", uid.encode() + b"\0" * (len(uid) % 2))
        + element(0x00100020, b"LO", b"ONE")
        + element(0x0020000D, b"UI", b"1.2.3\0")
        + element(0x0020000E, b"UI", b"1.2.3.9\0")
        + content
    )


CONTENTS = {
    "nested in defined lengths": nested(0x0040A730, 3000, undefined=False),
    "nested in undefined lengths": nested(0x0040A730, 3000, undefined=True),
    "the one within the other": element(0x0040A730, b"SQ", struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF))[:-8]
    + nested(0x0040A730, 3000, undefined=True),
    "a sequence of letters": element(0x0040A730, b"SQ", b"no items here, none at all"),
    "private nesting": nested(0x00091010, 2000, undefined=False),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.filterwarnings("ignore")
def test_an_unreadable_report_is_answered_with_a_status_that_asks_for_no_repetition(listening_node, mammogram, content):
    for _ in range(2):
        answer = listening_node.store_bytes(a_report(content), sop_class_uid=SR)
        assert answer.Status != Status.PROCESSING_FAILURE  # that would ask the sender to repeat
    assert len(listening_node.files("archive")) == len(listening_node.instances())
    assert not listening_node.files("incoming")
    assert listening_node.store(mammogram("1.2.3.2")).Status == Status.SUCCESS


NAMES = {
    "items within items": (b"SQ", nested(0x00080060, 8, undefined=False)[12:]),
    "backslashes alone": (b"PN", b"\\\\\\\\"),
    "escapes that lead nowhere": (b"PN", b"A\x1b\x1b$B\x1b("),
    "a sequence": (b"SQ", b"ab"),
    "a number of three bytes": (b"US", b"abc"),
    "a date": (b"DA", b"19990101"),
    "numbers": (b"DS", b"1\\x\\"),
}


@pytest.mark.parametrize("tag", [0x00100010, 0x00100020, 0x00100030, 0x00080050, 0x00200020, 0x00280008])
@pytest.mark.parametrize("value", NAMES.values(), ids=NAMES)
@pytest.mark.filterwarnings("ignore")
def test_a_malformed_value_is_treated_as_absent(listening_node, mammogram, raw_bytes, tag, value):
    image = mammogram()
    if tag in image:
        del image[tag]
    whole = raw_bytes(image)
    pixels = whole.index(b"\xe0\x7f\x10\x00")
    before = min((at for at in range(0, pixels) if _is_later_element(whole, at, tag)), default=pixels)
    answer = listening_node.store_bytes(whole[:before] + element(tag, *value) + whole[before:])
    assert answer.Status == Status.SUCCESS, answer.ErrorComment
    assert len(listening_node.files("archive")) == len(listening_node.instances()) == 1


def _is_later_element(whole: bytes, at: int, tag: int) -> bool:
    group, number = struct.unpack("<HH", whole[at : at + 4])
    known = whole[at + 4 : at + 6] in (b"UI", b"CS", b"LO", b"PN", b"DA", b"SH", b"US", b"OW", b"DS", b"IS")
    return known and group in (8, 0x10, 0x18, 0x20, 0x28, 0x7FE0) and (group << 16 | number) > tag


def test_an_object_that_the_database_does_not_accept_leaves_no_file(listening_node, mammogram, monkeypatch):
    def refuses(*_: object, **__: object) -> None:
        raise ValueError("a value that no row holds")

    monkeypatch.setattr("node.intake.receiving.register", refuses)
    assert listening_node.store(mammogram()).Status == Status.PROCESSING_FAILURE
    monkeypatch.undo()
    assert not listening_node.files("archive")
    assert listening_node.store(mammogram()).Status == Status.SUCCESS
    assert ExplicitVRLittleEndian == listening_node.instances()[0].transfer_syntax_uid
