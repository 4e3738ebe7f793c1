"""Which bits belong to a pixel: every codec and layout of Bits Allocated, Bits Stored and High Bit, with and without an
overlay in the unused bits (as until 2004, PS3.3 section C.9.2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from transfer_syntaxes import LOSSLESS, encode, save

from dicom_io.pixels.decoding import StoredValues, read_dataset, stored_values

ROWS, COLUMNS = 48, 40
LAYOUTS = [(8, 8, 7), (8, 6, 5), (8, 6, 7), (16, 16, 15), (16, 14, 13), (16, 12, 11), (16, 12, 15), (16, 10, 11)]


def values_of(bits: int, signed: bool) -> NDArray[np.int64]:
    """Air of the minimum value, and a disc of many values that include the maximum."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    disc = ((y - 20) / 17) ** 2 + (x / 25) ** 2 < 1
    greatest = (1 << bits) - 1
    values = np.where(disc, greatest // 3 + (7 * y + 5 * x) * greatest // 900, 0)
    values[20, 5] = greatest
    return values - ((1 << (bits - 1)) if signed else 0)


def image_of(values: NDArray[np.int64], allocated: int, stored: int, high: int, overlay: bool) -> Dataset:
    """`values` in this layout, described as if all bits were stored bits, so that a codec keeps all of them."""
    words = (values & ((1 << stored) - 1)) << (high + 1 - stored)
    if overlay:
        others = ((1 << allocated) - 1) & ~(((1 << stored) - 1) << (high + 1 - stored))
        words[::3, ::2] |= others
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3.1"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.Modality = "1.2.3", "1.2.3.9", "MG"
    image.PatientID, image.PatientName = "T", "T"
    image.Rows, image.Columns, image.SamplesPerPixel = ROWS, COLUMNS, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = (
        allocated,
        allocated,
        allocated - 1,
        0,
    )
    image.PixelData = words.astype(np.uint8 if allocated == 8 else np.uint16).tobytes()
    image["PixelData"].VR = "OB" if allocated == 8 else "OW"
    return image


def read(image: Dataset, folder: Path, **header: int) -> StoredValues:
    for keyword, value in header.items():
        setattr(image, keyword, value)
    return stored_values(read_dataset(save(image, folder / "image.dcm"), 10_000))


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: UID(uid).keyword)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_only_the_stored_bits_of_a_pixel_are_read_with_every_codec(
    tmp_path: Path, syntax: str, layout: tuple[int, int, int]
) -> None:
    allocated, stored, high = layout
    for signed in (False, True):
        for overlay in (False, True):
            values = values_of(stored, signed)
            image = encode(image_of(values, allocated, stored, high, overlay), syntax)
            found = read(image, tmp_path, BitsStored=stored, HighBit=high, PixelRepresentation=int(signed))
            np.testing.assert_array_equal(found.values, values, err_msg=f"signed {signed}, overlay {overlay}")
            assert not found.remarks


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLossless, JPEGLSLossless, JPEG2000Lossless]
)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("high", [15, 13, 3])
def test_a_high_bit_that_contradicts_the_pixels_is_ignored_with_a_warning(
    tmp_path: Path, syntax: str, signed: bool, high: int
) -> None:
    values = values_of(12, signed)
    image = image_of(values, 16, 12, 11, overlay=False)
    if signed:  # written as usual: the sign bit is repeated in the bits above
        image.PixelData = values.astype(np.int16).tobytes()
    found = read(encode(image, syntax), tmp_path, BitsStored=12, HighBit=high, PixelRepresentation=int(signed))
    np.testing.assert_array_equal(found.values, values)
    assert any("High Bit" in remark for remark in found.remarks)


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless])
def test_a_codestream_of_twelve_bits_is_decoded_correctly_with_any_high_bit(tmp_path: Path, syntax: str) -> None:
    values = values_of(12, signed=False)
    image = image_of(values, 16, 12, 11, overlay=False)
    image.BitsStored, image.HighBit = 12, 11
    found = read(encode(image, syntax), tmp_path, HighBit=15)
    np.testing.assert_array_equal(found.values, values)


def test_values_near_the_maximum_stay_near_it_with_a_lossy_codec(tmp_path: Path) -> None:
    values = values_of(12, signed=False)
    values[10:30, 5:20] = 4094 + (np.indices((20, 15)).sum(axis=0) % 2) * 1
    image = encode(image_of(values, 16, 12, 11, overlay=False), JPEGLSNearLossless)  # within 16 of the true values
    found = read(image, tmp_path, BitsStored=12, HighBit=11)
    assert np.abs(found.values.astype(int) - values).max() <= 16
