"""Data sets as bytes, and damage to them: the strategies that the DICOM targets share."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from copy import deepcopy
from functools import cache, lru_cache

import numpy as np
from hypothesis import strategies as some
from pydicom import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
INSTANCE, STUDY = b"1.2.3.4.1000000001", b"1.2.3.4.2000000001"
"""The UIDs of all generated data sets; replacements have the same length."""
_VRS = [b"UI", b"CS", b"LO", b"PN", b"DA", b"TM", b"DS", b"IS", b"US", b"SS", b"OB", b"OW", b"SQ", b"UN", b"UT", b"AT"]
NASTY = [
    b"", b"\\", b"\\\\\\\\", b"^^^^^", b"=", b"\0" * 7, b"\xff" * 5, b"\x1b$B\x1b(B", b"\x1b", b"1e400", b"-0", b"nan",
    b"inf", b"0", b"-1", b"99999999999999999999", b"1\\2\\x", b"2", b"1.2.3", b"1..2", b"../..", b"A" * 70,
    b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0", b"19990231", b"ISO 2022 IR 87",
    b"\\ISO 2022 IR 149", b"MONOCHROME1",
]  # fmt: skip
_ELEMENT = re.compile(
    rb"(?=.[\x00-\x6f]..(?:%s)...)" % b"|".join([*_VRS, b"UL", b"FD", b"SH", b"ST", b"LT", b"AE", b"AS", b"DT"]),
    re.DOTALL,
)
CHANGES = ("flip", "byte", "cut", "insert", "delete", "double", "vr", "length", "value", "nest", "drop", "zero")
_LENGTHS = [0, 1, 2, 3, 4, 7, 0xFE, 0xFFFE, 0xFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 20]


def mammogram(**changed: object) -> Dataset:
    """A left CC view of 16 × 16 pixels that the node reads."""
    y, x = np.mgrid[:16, :16]
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SpecificCharacterSet = "ISO_IR 100"
    image.SOPClassUID, image.SOPInstanceUID = MAMMOGRAM, INSTANCE.decode()
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY.decode(), "1.2.3.4.3"
    image.PatientName, image.PatientID, image.PatientBirthDate = "A^B", "T", "19600101"
    image.Modality, image.PresentationIntentType = "MG", "FOR PRESENTATION"
    image.ImageLaterality, image.ViewPosition, image.PatientOrientation = "L", "CC", ["A", "R"]
    image.ImagerPixelSpacing = [0.1, 0.1]
    image.Rows = image.Columns = 16
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.WindowCenter, image.WindowWidth = 2000, 4000
    image.RescaleSlope, image.RescaleIntercept = 1, 0
    image.PixelPaddingValue = 0
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [4, 0, 12])
    lut.add_new("LUTData", "US", [0, 1000, 2000, 4095])
    image.VOILUTSequence = [lut]
    image.PixelData = (200 * x + 50 * y).astype(np.uint16).tobytes()
    for keyword, value in changed.items():
        setattr(image, keyword, value)
    return image


def instance_uid(number: int) -> bytes:
    return b"1.2.3.4.1%09d" % number


def study_uid(number: int) -> bytes:
    return b"1.2.3.4.2%09d" % number


def part10(body: bytes, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A file that holds `body` in a transfer syntax."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    return b"\0" * 128 + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(element)) + element


def written(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The bytes of the data set in a native transfer syntax, without file meta information."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    write_dataset(stream, dataset)
    return stream.getvalue()


def compressed(image: Dataset, syntax: str) -> bytes:
    """The bytes of an image, its pixels encapsulated."""
    packed = deepcopy(image)
    packed.compress(UID(syntax), generate_instance_uid=False)
    return written(packed)


@cache
def images() -> tuple[tuple[str, bytes], ...]:
    """Transfer syntax and data set of images that are read."""
    large = mammogram(Rows=32, Columns=32, PixelData=np.arange(1024, dtype=np.uint16).tobytes())
    found = [(syntax, written(mammogram(), syntax)) for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)]
    found += [(syntax, compressed(large, syntax)) for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless)]
    raw = mammogram(SOPClassUID="1.2.840.10008.5.1.4.1.1.1.2.1", PresentationIntentType="FOR PROCESSING")
    raw.PixelIntensityRelationship, raw.PixelIntensityRelationshipSign = "LIN", 1
    return (*found, (ExplicitVRLittleEndian, written(raw)))


@lru_cache(64)
def elements_of(body: bytes) -> tuple[int, ...]:
    """Where the elements of an Explicit VR data set begin, including those within sequences."""
    return tuple(found.start() for found in _ELEMENT.finditer(body))


def changes(body_length: int) -> some.SearchStrategy[tuple[str, int, int, bytes]]:
    return some.tuples(
        some.sampled_from(CHANGES),
        some.integers(0, max(0, body_length - 1)),
        some.integers(0, 255),
        some.sampled_from(NASTY) | some.binary(max_size=12),
    )


def apply(body: bytes, change: tuple[str, int, int, bytes]) -> bytes:
    kind, at, number, value = change
    at %= max(1, len(body))
    match kind:
        case "flip":
            return body[:at] + bytes([body[at] ^ (1 << number % 8)]) + body[at + 1 :] if body else body
        case "byte":
            return body[:at] + bytes([number]) + body[at + 1 :]
        case "cut":
            return body[:at] if number < 40 else body
        case "insert":
            return body[:at] + value + body[at:]
        case "delete":
            return body[:at] + body[at + 1 + number % 16 :]
        case "double":
            return body[:at] + body[at : at + 64] * (1 + number % 4) + body[at + 64 :]
        case "zero":
            return body[:at] + bytes(number % 16) + body[at + number % 16 :]
    starts = elements_of(body)
    if not starts:
        return body
    start = starts[(at * 7 + number) % len(starts)]
    vr = body[start + 4 : start + 6]
    long = vr in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    head = 12 if long else 8
    field = slice(start + 8, start + 12) if long else slice(start + 6, start + 8)
    length = int.from_bytes(body[field], "little")
    end = start + head + (length if length < 1 << 16 else 0)
    match kind:
        case "vr":
            return body[: start + 4] + _VRS[number % len(_VRS)] + body[start + 6 :]
        case "length":
            wanted = _LENGTHS[number % len(_LENGTHS)]
            return (
                body[: field.start]
                + (wanted & ((1 << 8 * (field.stop - field.start)) - 1)).to_bytes(field.stop - field.start, "little")
                + body[field.stop :]
            )
        case "value":
            value += b" " * (len(value) % 2)
            return body[: field.start] + len(value).to_bytes(field.stop - field.start, "little") + value + body[end:]
        case "nest":
            return body[:start] + nested(body[start : start + 4], 1 + number * 12, bool(at % 2)) + body[end:]
        case _:
            return body[:start] + body[end:]


def nested(tag: bytes, depth: int, undefined: bool) -> bytes:
    """Items within items, of undefined or stated length."""
    value = b""
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF if undefined else len(value)) + value
        item += struct.pack("<HHL", 0xFFFE, 0xE00D, 0) if undefined else b""
        value = tag + struct.pack("<2sHL", b"SQ", 0, 0xFFFFFFFF if undefined else len(item)) + item
        value += struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) if undefined else b""
    return value


def damaged(seeds: Sequence[bytes], most: int = 6) -> some.SearchStrategy[bytes]:
    """One of the seeds, changed a few times."""

    @some.composite
    def draw(drawn: some.DrawFn) -> bytes:
        body = drawn(some.sampled_from(list(seeds)))
        for change in drawn(some.lists(changes(len(body)), min_size=1, max_size=most)):
            body = apply(body, change)
        return body[: 1 << 16]

    return draw()


def damaged_files(seeds: Sequence[tuple[str, bytes]]) -> some.SearchStrategy[bytes]:
    """Part 10 files with damaged data sets, sometimes in another transfer syntax than stated."""
    heads = [part10(b"", syntax) for syntax, _ in seeds]
    return some.sampled_from(range(len(seeds))).flatmap(
        lambda index: some.tuples(some.just(heads[index]) | some.sampled_from(heads), damaged([seeds[index][1]])).map(
            b"".join
        )
    )
