"""Pixel data and files that are complete but deviate from the Standard are read, as other decoders read them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless
from pydicom.uid import JPEGLSLossless as JPEGLS
from transfer_syntaxes import at_depth, encode, save

from dicom_io.errors import NotReadable
from dicom_io.pixels.decoding import read_dataset, stored_values
from dicom_io.pixels.intact import read_whole_file
from node.demo.studies import DemoStudy

LIMIT = 1 << 30
DELIMITER = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


@pytest.fixture(scope="module")
def original(mammogram_study: DemoStudy) -> Dataset:
    return at_depth(dcmread(mammogram_study.files[1]), 12)


def read(path: Path) -> NDArray[np.generic]:
    """The stored values of a file that first passed the check for completeness, as in receiving."""
    assert read_whole_file(path, LIMIT).has_pixels
    return stored_values(read_dataset(path, LIMIT)).values


def item(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


def put_together(dataset: Dataset, path: Path, value: bytes) -> Path:
    """The file of a data set whose pixel data is `value`, of undefined length."""
    bare = Dataset({tag: dataset.get_item(tag) for tag in dataset.keys() if tag != 0x7FE00010})  # noqa: SIM118
    bare.file_meta = dataset.file_meta
    save(bare, path)
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + value)
    return path


def halves(frame: bytes) -> bytes:
    middle = len(frame) // 4 * 2
    return item(frame[:middle]) + item(frame[middle:])


CARELESS = {
    "no last delimiter": lambda frame: item(b"") + item(frame),
    "zeros for the last delimiter": lambda frame: item(b"") + item(frame) + bytes(8),
    "zeros up to the end of a block": lambda frame: item(b"") + item(frame) + bytes(300),
    "a table of offsets that points elsewhere": lambda frame: item(struct.pack("<L", 8)) + item(frame) + DELIMITER,
    "a table of offsets beyond the end": lambda frame: item(struct.pack("<L", 1 << 31)) + item(frame) + DELIMITER,
    "a table of more frames than there are": lambda frame: item(struct.pack("<LL", 0, 99)) + item(frame) + DELIMITER,
    "a table of half an offset": lambda frame: item(b"\0\0") + item(frame) + DELIMITER,
    "no table of offsets at all": lambda frame: item(frame) + DELIMITER,
    "two fragments of one frame": lambda frame: item(struct.pack("<L", 0)) + halves(frame) + DELIMITER,
    "two fragments, each in the table": lambda frame: item(struct.pack("<LL", 0, 8)) + halves(frame) + DELIMITER,
    "two fragments and no delimiter": lambda frame: item(b"") + halves(frame),
}


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLS, JPEGLossless], ids=lambda uid: UID(uid).keyword)
@pytest.mark.parametrize("value", CARELESS.values(), ids=CARELESS)
def test_a_complete_frame_is_read_with_every_kind_of_encapsulation(
    original: Dataset, tmp_path: Path, syntax: str, value
) -> None:
    encoded = encode(original, syntax)
    path = put_together(encoded, tmp_path / "image.dcm", value(get_frame(encoded.PixelData, 0, number_of_frames=1)))
    np.testing.assert_array_equal(read(path), read(save(original, tmp_path / "plain.dcm")))


def test_a_truncated_frame_without_a_delimiter_is_refused(original: Dataset, tmp_path: Path) -> None:
    encoded = encode(original, JPEG2000Lossless)
    frame = get_frame(encoded.PixelData, 0, number_of_frames=1)
    for value in (item(b"") + item(frame[:-200]), item(b""), item(b"") + item(frame)[:-2], item(b"") + item(b"")):
        with pytest.raises(NotReadable, match="cut short"):
            read_whole_file(put_together(encoded, tmp_path / "image.dcm", value), LIMIT)


def test_a_wrong_extended_offset_table_is_ignored(original: Dataset, tmp_path: Path) -> None:
    encoded = encode(original, JPEG2000Lossless)
    encoded.ExtendedOffsetTable, encoded.ExtendedOffsetTableLengths = struct.pack("<Q", 77), struct.pack("<Q", 5)
    np.testing.assert_array_equal(
        read(save(encoded, tmp_path / "image.dcm")), read(save(original, tmp_path / "plain.dcm"))
    )


@pytest.mark.parametrize(
    "syntax", [JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless], ids=lambda uid: UID(uid).keyword
)
@pytest.mark.parametrize("end", [0, 1, 62, 64, 255])
def test_a_scan_header_with_another_end_of_spectral_selection_is_read(
    original: Dataset, tmp_path: Path, syntax: str, end: int
) -> None:
    depth = 8 if syntax == JPEGBaseline8Bit else 12
    path = save(encode(at_depth(at_sixteen(original), depth), syntax), tmp_path / "image.dcm")
    data = bytearray(path.read_bytes())
    expected = read(path)
    data[data.index(b"\xff\xda\x00\x08\x01") + 8] = end
    path.write_bytes(data)
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize("length", [None, 0, 7, 4000], ids=["absent", "zero", "too short", "too long"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, "1.2.840.10008.1.2.1.99"], ids=["plain", "deflated"])
def test_a_wrong_or_missing_group_length_of_the_file_meta_is_ignored(
    original: Dataset, tmp_path: Path, length: int | None, syntax: str
) -> None:
    path = save(encode(original, syntax), tmp_path / "image.dcm")
    data, expected = path.read_bytes(), read(path)
    path.write_bytes(data[:132] + (b"" if length is None else data[132:140] + struct.pack("<L", length)) + data[144:])
    np.testing.assert_array_equal(read(path), expected)


def test_colour_that_is_not_subsampled_as_its_header_states_is_read(original: Dataset, tmp_path: Path) -> None:
    eight = at_depth(at_sixteen(original), 8)
    grey = np.frombuffer(eight.PixelData, np.uint8)
    eight.SamplesPerPixel, eight.PhotometricInterpretation, eight.PlanarConfiguration = 3, "YBR_FULL_422", 0
    eight.PixelData = np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], axis=1).tobytes()
    values = read(save(eight, tmp_path / "image.dcm"))
    assert np.abs(values[..., 0].ravel().astype(int) - grey).max() <= 1


def at_sixteen(twelve: Dataset) -> Dataset:
    """Twelve bits as `at_depth` takes them: at the high end of sixteen."""
    sixteen = Dataset(twelve)
    sixteen.file_meta = twelve.file_meta
    sixteen.PixelData = (np.frombuffer(twelve.PixelData, np.uint16) << 4).tobytes()
    sixteen.BitsStored, sixteen.HighBit = 16, 15
    return sixteen
