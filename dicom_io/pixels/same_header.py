"""Do two files have the same header? OB or OW alone is no difference: in little endian both are the same bytes."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.uid import ExplicitVRBigEndian

from dicom_io.pixels.intact import WholeFile

_CHUNK = 1 << 20
_BYTES_OR_WORDS = (b"OB", b"OW")
_MOST = 1000
"""More differences than these are not looked at one by one."""


def has_same_header(old: WholeFile, new: WholeFile) -> bool:
    """Whether the headers of two files in the same transfer syntax are the same, byte for byte but for OB in place of
    OW (PS3.5 section A.2: senders choose either for pixel data of 8 bits; some write either for whatever they keep).

    A deflated file's header does not show in its bytes: not the same.
    """
    if old.header is None or new.header is None:
        return False
    size = old.header.end - old.header.start
    if size != new.header.end - new.header.start:
        return False
    vrs = _vrs(old.dataset) if old.transfer_syntax_uid != ExplicitVRBigEndian else None
    left = _MOST
    with old.path.open("rb") as one, new.path.open("rb") as other:
        for at in range(0, size, _CHUNK):
            before = _read(one, old.header.start + at, min(_CHUNK, size - at))
            after = _read(other, new.header.start + at, len(before))
            if before == after:
                continue
            differing = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8))
            left -= len(differing)
            if vrs is None or left < 0:
                return False
            for place in differing + at:
                head = _read(one, old.header.start + int(place) - 5, 8)
                of_other = _read(other, new.header.start + int(place) - 5, 8)
                if not _is_vr(head, of_other, old.header.start + int(place) in vrs):
                    return False
    return True


def _vrs(dataset: Dataset) -> set[int]:
    """Where the second letter of OB or OW stands, of the elements that are in no sequence."""
    found = set[int]()
    for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset converts its values
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement) and element.VR in ("OB", "OW"):
            found.add(element.value_tell - 7)  # behind the VR: two bytes 0, length in four (PS3.5 section 7.1.2)
    return found


def _is_vr(one: bytes, other: bytes, known: bool) -> bool:
    """Whether these are the first eight bytes of an element that is OB here and OW there."""
    tag, vr, vr_there = one[:4], one[4:6], other[4:6]
    if tag != other[:4] or {vr, vr_there} != set(_BYTES_OR_WORDS) or any(one[6:]) or any(other[6:]):
        return False
    if known:
        return True
    group, element = struct.unpack("<HH", tag)
    try:
        return "OW" in dictionary_VR(group << 16 | element)
    except KeyError:
        return False


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(max(0, at))
    return file.read(size)
