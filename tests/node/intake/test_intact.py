"""A truncated file is never accepted as complete."""

from __future__ import annotations

import struct
import tempfile
import zlib

import pytest
from memory import assert_allocates_at_most
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from dicom_io.errors import NotReadable
from dicom_io.pixels.decoding import read_dataset
from dicom_io.pixels.file_meta import read_file_meta
from dicom_io.pixels.intact import read_as_stored, read_up_to_pixels, read_whole_file
from dicom_io.pixels.pixel_element import CutShort

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
]


def write(path, mammogram, syntax) -> bytes:
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399162004", "SCT", "cranio-caudal"
    image = mammogram(Rows=4, Columns=4, ViewCodeSequence=[view])
    image["ViewCodeSequence"].is_undefined_length = True
    image.PixelData = encapsulate([b"abcdef" * 9]) if syntax.is_encapsulated else bytes(range(32))
    image["PixelData"].VR = "OW"
    image["PixelData"].is_undefined_length = syntax.is_encapsulated
    image.file_meta.TransferSyntaxUID = syntax
    image.save_as(path, enforce_file_format=True)
    return path.read_bytes()


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
@pytest.mark.filterwarnings("ignore")
def test_a_file_truncated_anywhere_is_detected(tmp_path, mammogram, syntax):
    path = tmp_path / "image.dcm"
    whole = write(path, mammogram, syntax)
    assert read_whole_file(path, 1 << 20).has_pixels
    padding = syntax == DeflatedExplicitVRLittleEndian and whole[-1] == 0
    for length in range(len(whole) - padding):
        path.write_bytes(whole[:length])
        try:
            cut = read_whole_file(path, 1 << 20)
        except NotReadable:
            continue
        assert not cut.has_pixels  # cut between two elements: attributes of an image are missing, which is detected


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_pixel_data_are_located_and_not_read(tmp_path, mammogram, syntax):
    path = tmp_path / "image.dcm"
    data = write(path, mammogram, syntax)
    whole = read_whole_file(path, 1 << 20)
    assert "PixelData" not in whole.dataset
    assert whole.dataset.PatientID == "ONE"
    if whole.pixels:
        found = data[whole.pixels.start : whole.pixels.end]
        assert (b"abcdef" if syntax.is_encapsulated else bytes(range(32))) in found


def test_an_image_without_its_last_byte_is_reported_as_truncated(tmp_path, mammogram):
    path = tmp_path / "image.dcm"
    path.write_bytes(write(path, mammogram, ExplicitVRLittleEndian)[:-1])
    with pytest.raises(CutShort, match="pixel data"):
        read_whole_file(path, 1 << 20)


def test_a_long_value_of_a_header_is_not_loaded(tmp_path, mammogram):
    image = mammogram()
    image.add_new(0x00091010, "OB", bytes(30_000_000))
    image.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    with assert_allocates_at_most(10_000_000):
        read_whole_file(tmp_path / "image.dcm", 1 << 20)


def test_a_deflated_bomb_is_refused_before_it_fills_the_disk(tmp_path, mammogram):
    path = tmp_path / "image.dcm"
    image = mammogram(Rows=2000, Columns=2000, PixelData=bytes(8_000_000))
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)
    assert path.stat().st_size < 20_000
    with pytest.raises(NotReadable, match="larger than"):
        read_whole_file(path, 1 << 20)
    assert [entry.name for entry in tmp_path.iterdir()] == ["image.dcm"]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_an_archived_header_is_every_element_before_the_pixel_data(tmp_path, mammogram, syntax):
    path = tmp_path / "image.dcm"
    write(path, mammogram, syntax)
    header, whole = read_up_to_pixels(path), dcmread(path)
    assert "PixelData" not in header
    assert header.file_meta == whole.file_meta
    del whole.PixelData
    assert header == whole


def test_the_pixels_of_a_deflated_archived_file_are_never_loaded(tmp_path, mammogram):
    path = tmp_path / "image.dcm"
    image = mammogram(Rows=4000, Columns=4000, PixelData=bytes(32_000_000))
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)
    with assert_allocates_at_most(8_000_000):
        assert read_up_to_pixels(path).SOPInstanceUID == image.SOPInstanceUID


READERS = {
    "receiving": lambda path: read_whole_file(path, 1 << 20).dataset,
    "headers": read_up_to_pixels,
    "segmentations": read_as_stored,
    "decoding": lambda path: read_dataset(path, 1 << 20),
}


@pytest.mark.parametrize("reads", READERS.values(), ids=READERS)
def test_a_deflated_file_in_a_read_only_folder_is_read(tmp_path, mammogram, monkeypatch, reads):
    (tmp_path / "read only").mkdir()
    path = tmp_path / "read only" / "image.dcm"
    write(path, mammogram, DeflatedExplicitVRLittleEndian)
    path.parent.chmod(0o500)
    assert reads(path).PatientID == "ONE"
    # Permissions do not restrict root: without a temporary directory it is inflated nowhere else either.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError):
        reads(path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian], ids=lambda uid: uid.name)
@pytest.mark.parametrize("reads", READERS.values(), ids=READERS)
def test_elements_after_the_pixels_of_an_archived_file_are_not_read(tmp_path, mammogram, syntax, reads):
    """pydicom would read them, and nested sequences end in a RecursionError."""
    path = tmp_path / "image.dcm"
    whole = write(path, mammogram, syntax)
    after = struct.pack("<HH2sHL", 0xFFFA, 0xFFFA, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    if syntax.is_deflated:
        start = read_file_meta(path)[1]
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data_set = zlib.decompress(whole[start:], -zlib.MAX_WBITS) + after * 2000
        path.write_bytes(whole[:start] + deflater.compress(data_set) + deflater.flush())
    else:
        path.write_bytes(whole + after * 2000)
    assert reads(path).PatientID == "ONE"


def test_the_pixels_of_a_deflated_file_are_decoded_within_the_limit_of_pixels(tmp_path, mammogram):
    path = tmp_path / "image.dcm"
    image = mammogram(Rows=4000, Columns=4000, PixelData=bytes(32_000_000))
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)
    with assert_allocates_at_most(8_000_000), pytest.raises(NotReadable, match="more than the limit"):
        read_dataset(path, 1 << 20)
    assert len(read_dataset(path, 4000 * 4000).PixelData) == 32_000_000
