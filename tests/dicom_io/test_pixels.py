"""How a mammogram is read, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from transfer_syntaxes import at_depth, encode, save

from dicom_io.errors import NotReadable
from dicom_io.pixels.mammogram import read_mammogram
from models.types.mammogram import Laterality, Mammogram
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.slow


@pytest.fixture
def image(mammogram_study: DemoStudy) -> Dataset:
    """The left CC view, 16 bits, uncompressed; each test changes its own copy."""
    return dcmread(mammogram_study.files[1])


def read(dataset: Dataset, folder: Path) -> Mammogram:
    return read_mammogram(save(dataset, folder / "image.dcm"))


def refused(dataset: Dataset, folder: Path) -> str:
    with pytest.raises(NotReadable) as refusal:
        read(dataset, folder)
    sentence = str(refusal.value)
    assert "P_00820" not in sentence
    assert sentence.endswith(".")
    return sentence


def stored(dataset: Dataset) -> np.ndarray:
    return np.frombuffer(dataset.PixelData, np.uint16).reshape(dataset.Rows, dataset.Columns)


def test_a_mammogram_is_read_in_the_form_that_the_models_expect(image: Dataset, tmp_path: Path) -> None:
    mammogram = read(image, tmp_path)
    assert mammogram.pixels.dtype == np.float32
    assert mammogram.shape == (image.Rows, image.Columns)
    np.testing.assert_allclose(mammogram.pixels, stored(image) / np.float32(65535), atol=1e-6)
    assert (mammogram.laterality, mammogram.view) == (Laterality.LEFT, "CC")
    assert mammogram.spacing_mm is None
    assert mammogram.extent == ""
    assert mammogram.warnings == ()


def test_signed_pixels_give_the_same_image_as_unsigned_pixels(image: Dataset, tmp_path: Path) -> None:
    plain = read(image, tmp_path).pixels
    image.PixelData = (stored(image).astype(np.int32) - 32768).astype(np.int16).tobytes()
    image.PixelRepresentation, image.RescaleIntercept = 1, 32768
    np.testing.assert_allclose(read(image, tmp_path).pixels, plain, atol=1e-6)
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        np.testing.assert_allclose(read(encode(image, syntax), tmp_path).pixels, plain, atol=1e-6)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_values_in_the_bits_that_are_not_stored_are_ignored(image: Dataset, tmp_path: Path, syntax: str) -> None:
    twelve = at_depth(image, 12)
    clean = read(twelve, tmp_path).pixels
    junk = np.random.default_rng(1).integers(0, 16, stored(twelve).shape, dtype=np.uint16) << 12
    twelve.PixelData = (stored(twelve) | junk).tobytes()
    np.testing.assert_array_equal(read(encode(twelve, syntax), tmp_path).pixels, clean)


def test_bits_stored_at_the_high_end_are_shifted_down(image: Dataset, tmp_path: Path) -> None:
    twelve = at_depth(image, 12)
    clean = read(twelve, tmp_path).pixels
    twelve.PixelData = (stored(twelve) << 4).tobytes()
    twelve.HighBit = 15
    np.testing.assert_array_equal(read(twelve, tmp_path).pixels, clean)


def test_a_codestream_whose_sign_contradicts_the_header_is_read_as_the_header_states(
    image: Dataset, tmp_path: Path
) -> None:
    twelve = at_depth(image, 12)
    values = stored(twelve).astype(np.int32) - 2048
    twelve.PixelData = (values % 4096).astype(np.uint16).tobytes()
    signed = encode(twelve, JPEG2000Lossless)  # an unsigned codestream …
    signed.PixelRepresentation = 1  # … whose bits mean signed numbers
    signed.WindowCenter = 0
    expected = np.clip((values + 0.5) / 4095 + 0.5, 0, 1)
    np.testing.assert_allclose(read(signed, tmp_path).pixels, expected, atol=1e-4)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_unsigned_pixels_that_the_header_calls_signed_are_read_as_unsigned(
    image: Dataset, tmp_path: Path, syntax: str
) -> None:
    twelve = at_depth(image, 12)
    plain = read(twelve, tmp_path).pixels
    called = encode(twelve, syntax)
    called.PixelRepresentation = 1
    mammogram = read(called, tmp_path)
    np.testing.assert_array_equal(mammogram.pixels, plain)
    assert any("unsigned" in warning for warning in mammogram.warnings)


def test_padding_is_found_in_unsigned_pixels_that_the_header_calls_signed(image: Dataset, tmp_path: Path) -> None:
    twelve = at_depth(image, 12)
    values = stored(twelve).copy()
    values[:5] = 4095
    twelve.PixelData, twelve.PixelRepresentation = values.tobytes(), 1
    twelve.add_new("PixelPaddingValue", "US", 4095)
    mammogram = read(twelve, tmp_path)
    assert any("unsigned" in warning for warning in mammogram.warnings)
    assert not mammogram.pixels[:5].any()


def test_a_codestream_of_less_precision_than_the_header_states_is_read(image: Dataset, tmp_path: Path) -> None:
    eight = at_depth(image, 8)
    plain = read(eight, tmp_path).pixels
    codestream = encode(eight, JPEG2000Lossless)
    codestream.BitsAllocated, codestream.BitsStored, codestream.HighBit = 16, 12, 11
    np.testing.assert_array_equal(read(codestream, tmp_path).pixels, plain)


def test_padding_is_black_and_does_not_change_the_contrast(image: Dataset, tmp_path: Path) -> None:
    del image.WindowCenter, image.WindowWidth
    values = (stored(image) // 16 + 1000).astype(np.uint16)
    values[:50] = 65535
    image.PixelData = values.tobytes()
    image.add_new("PixelPaddingValue", "US", 65535)
    pixels = read(image, tmp_path).pixels
    assert not pixels[:50].any()
    assert pixels[50:].max() == 1
    image.PhotometricInterpretation = "MONOCHROME1"
    assert not read(image, tmp_path).pixels[:50].any()


def test_a_saturated_mass_with_the_padding_value_stays_white_and_the_report_says_so(
    image: Dataset, tmp_path: Path
) -> None:
    values = stored(image).copy()
    values[:8] = 65535
    middle = values.shape[0] // 2, values.shape[1] // 2
    values[middle[0] : middle[0] + 12, middle[1] : middle[1] + 12] = 65535
    image.PixelData = values.tobytes()
    image.add_new("PixelPaddingValue", "US", 65535)
    mammogram = read(image, tmp_path)
    assert not mammogram.pixels[:8].any()
    assert mammogram.pixels[middle[0] + 6, middle[1] + 6] == 1
    assert any("saturated lesion" in sentence for sentence in mammogram.warnings)
    values[middle[0] : middle[0] + 12, middle[1] : middle[1] + 12] = 30000
    image.PixelData = values.tobytes()
    assert not any("saturated lesion" in sentence for sentence in read(image, tmp_path).warnings)


def test_a_padding_range_is_black_as_well(image: Dataset, tmp_path: Path) -> None:
    values = stored(image).copy()
    values[:10], values[10:20] = 60000, 60010
    image.PixelData = values.tobytes()
    image.add_new("PixelPaddingValue", "US", 60000)
    image.add_new("PixelPaddingRangeLimit", "US", 60010)
    assert not read(image, tmp_path).pixels[:20].any()


def test_a_negative_padding_value_is_found_in_signed_pixels(image: Dataset, tmp_path: Path) -> None:
    values = (stored(image) // 4).astype(np.int16)
    values[:10] = -2000
    image.PixelData, image.PixelRepresentation = values.tobytes(), 1
    image.add_new("PixelPaddingValue", "US", 65536 - 2000)
    image.WindowCenter, image.WindowWidth = 0, 8192
    assert not read(image, tmp_path).pixels[:10].any()


def test_a_colour_capture_of_a_grey_image_is_read_as_grey(image: Dataset, tmp_path: Path) -> None:
    eight = at_depth(image, 8)
    plain = read(eight, tmp_path).pixels
    grey = np.frombuffer(eight.PixelData, np.uint8)
    eight.SamplesPerPixel, eight.PhotometricInterpretation, eight.PlanarConfiguration = 3, "RGB", 0
    eight.PixelData = np.repeat(grey, 3).tobytes()
    np.testing.assert_allclose(read(eight, tmp_path).pixels, plain, atol=1e-6)


def test_the_spacing_is_imager_pixel_spacing_of_the_detector(image: Dataset, tmp_path: Path) -> None:
    image.ImagerPixelSpacing = [0.07, 0.08]
    mammogram = read(image, tmp_path)
    assert mammogram.spacing_mm == (0.07, 0.08)
    assert mammogram.spacing_by == "Imager Pixel Spacing at the detector"


def test_an_impossible_spacing_is_ignored_with_a_warning(image: Dataset, tmp_path: Path) -> None:
    image.ImagerPixelSpacing = [1, 1]
    mammogram = read(image, tmp_path)
    assert mammogram.spacing_mm is None
    assert any("spacing" in sentence for sentence in mammogram.warnings)


def test_magnification_and_implants_are_reported(image: Dataset, tmp_path: Path) -> None:
    image.EstimatedRadiographicMagnificationFactor = 1.8
    image.BreastImplantPresent = "YES"
    mammogram = read(image, tmp_path)
    assert mammogram.extent == "spot/magnified"
    assert [word for word in ("1.80", "implant") if word in " ".join(mammogram.warnings)] == ["1.80", "implant"]


@pytest.mark.parametrize(("factor", "expected"), [(1.8, (0.05, 0.05)), (None, None)])
def test_a_magnified_view_is_never_measured_with_the_spacing_of_a_full_field(
    image: Dataset, tmp_path: Path, factor: float | None, expected: tuple[float, float] | None
) -> None:
    magnification = Dataset()
    magnification.CodeValue, magnification.CodingSchemeDesignator = "399163009", "SCT"
    magnification.CodeMeaning = "magnification"
    view = image.ViewCodeSequence[0]
    view.ViewModifierCodeSequence = [magnification]
    image.ImagerPixelSpacing = [0.09, 0.09]
    image.EstimatedRadiographicMagnificationFactor = factor
    mammogram = read(image, tmp_path)
    assert mammogram.extent == "spot/magnified"
    assert mammogram.spacing_mm == (pytest.approx(expected) if expected else None)


@pytest.mark.parametrize(
    ("orientation", "remark"),
    [
        (["P", "F"], None),
        (["A", "FR"], None),
        (["P", "FL"], None),
        (["A", "R"], None),
        ([], None),
        (["P", "H"], "upside down"),
        (["A", "HL"], "upside down"),
        (["FR", "P"], "turned by a quarter"),
        (["HL", "A"], "turned by a quarter"),
        (["L", "P"], "turned by a quarter"),
        (["F", "A"], "turned by a quarter"),
    ],
)
def test_an_image_that_is_not_stored_upright_is_recognised_and_gets_no_location(
    image: Dataset, tmp_path: Path, orientation: list[str], remark: str | None
) -> None:
    image.PatientOrientation = orientation
    mammogram = read(image, tmp_path)
    assert mammogram.upright is (remark is None)
    remarks = [sentence for sentence in mammogram.warnings if "lesions have no location" in sentence]
    assert [remark in sentence for sentence in remarks] == ([] if remark is None else [True])


def test_a_name_that_cannot_be_decoded_gives_a_warning_without_the_name(image: Dataset, tmp_path: Path) -> None:
    image.SpecificCharacterSet, image.PatientName = "ISO_IR 192", "MARKER^X"
    path = save(image, tmp_path / "image.dcm")
    path.write_bytes(path.read_bytes().replace(b"MARKER", b"M\xfcller"))
    (warning,) = [sentence for sentence in read_mammogram(path).warnings if "Specific Character Set" in sentence]
    assert "ller" not in warning


def test_a_raw_image_is_read_with_a_warning(image: Dataset, tmp_path: Path) -> None:
    bright = read(image, tmp_path).pixels
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2.1"
    image.PresentationIntentType = "FOR PROCESSING"
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LIN", 1
    image.PixelData = (14000 * np.exp(-3 * bright)).astype(np.uint16).tobytes()
    raw = read(image, tmp_path)
    assert any("For Processing" in sentence for sentence in raw.warnings)
    assert np.corrcoef(raw.pixels.ravel(), bright.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Rows": 0}, "0 ×"),
        ({"Rows": None}, "Rows is missing"),
        ({"Columns": None}, "Columns is missing"),
        ({"BitsAllocated": None}, "BitsAllocated is missing"),
        ({"PixelRepresentation": None}, "PixelRepresentation is missing"),
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PhotometricInterpretation"),
        ({"SamplesPerPixel": 4}, "SamplesPerPixel"),
        ({"BitsStored": 17}, "bits"),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "bits"),
        ({"PixelRepresentation": 7}, "PixelRepresentation"),
        ({"NumberOfFrames": 40}, "40 frames"),
        ({"PixelData": None}, "no pixel data"),
        ({"PixelData": b""}, "no pixel data"),
        ({"Rows": 60000, "Columns": 60000}, "limit"),
    ],
)
def test_an_object_without_an_image_is_refused_with_the_reason(
    image: Dataset, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    for keyword, value in changes.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    assert reason in refused(image, tmp_path)


def test_a_blank_image_is_refused(image: Dataset, tmp_path: Path) -> None:
    image.PixelData = bytes(len(image.PixelData))
    assert "blank" in refused(image, tmp_path)


def test_a_file_that_is_not_dicom_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"no image at all" * 100)
    with pytest.raises(NotReadable, match="not a DICOM file"):
        read_mammogram(path)


def test_a_missing_file_is_not_counted_as_a_damaged_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_mammogram(tmp_path / "gone.dcm")


@pytest.mark.parametrize("frames", [1, 0])
def test_a_single_frame_of_a_multi_frame_class_is_read(image: Dataset, tmp_path: Path, frames: int) -> None:
    image.NumberOfFrames = frames
    assert read(image, tmp_path).shape == (image.Rows, image.Columns)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_an_image_of_impossible_size_is_refused_without_using_memory(
    image: Dataset, tmp_path: Path, syntax: str
) -> None:
    absurd = encode(image, syntax)
    absurd.Rows = absurd.Columns = 60000
    path = save(absurd, tmp_path / "image.dcm")
    assert _memory_mib(path, limit=10**12) < 50
    with pytest.raises(NotReadable, match="limit"):
        read_mammogram(path)


def test_a_deflated_bomb_is_refused_without_using_memory(image: Dataset, tmp_path: Path) -> None:
    image.PixelData = bytes(150 << 20)
    image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    path = save(image, tmp_path / "image.dcm")
    assert path.stat().st_size < 1 << 20
    assert _memory_mib(path, limit=10_000_000) < 50


def _memory_mib(path: Path, limit: int) -> int:
    """The peak memory, as counted by the kernel, of a process that refuses this image."""
    program = """
import sys
from pathlib import Path
from dicom_io.errors import NotReadable
from dicom_io.pixels.mammogram import read_mammogram

def memory(name):
    return int(Path("/proc/self/status").read_text().split(name)[1].split()[0]) // 1024

before = memory("VmRSS:")
try:
    read_mammogram(Path(sys.argv[1]), int(sys.argv[2]))
except NotReadable:
    print(memory("VmHWM:") - before)
"""
    command = [sys.executable, "-c", program, str(path), str(limit)]
    root = Path(__file__).parents[2]
    return int(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)
