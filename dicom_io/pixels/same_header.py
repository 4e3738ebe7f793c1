"""Compares the headers of two files. OB in place of OW is no difference: in little endian both have the same bytes."""

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
"""With more differing bytes than these, the headers count as different."""


def has_same_header(old: WholeFile, new: WholeFile) -> bool:
    """Whether the headers of two files in the same transfer syntax have the same bytes, except for OB in place of OW.

    Senders may choose OB or OW for pixel data of 8 bits (PS3.5 section A.2); some choose freely for other elements too.
    Headers of deflated files cannot be compared by bytes: the answer is False.
    """
    if old.header is None or new.header is None:
        return False
    size = old.header.end - old.header.start
    if size != new.header.end - new.header.start:
        return False
    vrs = _vrs(old.dataset) if old.transfer_syntax_uid != ExplicitVRBigEndian else None
    left = _MOST
    with old.path.open("rb") as old_file, new.path.open("rb") as new_file:
        for at in range(0, size, _CHUNK):
            before = _read(old_file, old.header.start + at, min(_CHUNK, size - at))
            after = _read(new_file, new.header.start + at, len(before))
            if before == after:
                continue
            differing = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8))
            left -= len(differing)
            if vrs is None or left < 0:
                return False
            for place in differing + at:
                head = _read(old_file, old.header.start + int(place) - 5, 8)
                of_new = _read(new_file, new.header.start + int(place) - 5, 8)
                if not _is_vr(head, of_new, old.header.start + int(place) in vrs):
                    return False
    return True


def _vrs(dataset: Dataset) -> set[int]:
    """The file positions of the second letter of OB or OW, of the elements outside sequences."""
    found = set[int]()
    for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset converts its values
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement) and element.VR in ("OB", "OW"):
            found.add(element.value_tell - 7)  # VR, two zero bytes, four bytes of length (PS3.5 section 7.1.2)
    return found


def _is_vr(old: bytes, new: bytes, known: bool) -> bool:
    """Whether these are the first eight bytes of one element that is OB in one file and OW in the other."""
    tag, vr_of_old, vr_of_new = old[:4], old[4:6], new[4:6]
    if tag != new[:4] or {vr_of_old, vr_of_new} != set(_BYTES_OR_WORDS) or any(old[6:]) or any(new[6:]):
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
