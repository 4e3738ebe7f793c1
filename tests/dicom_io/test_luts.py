"""From stored values to display values, by the formulas of PS3.3."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_io.pixels import luts
from dicom_io.pixels.contrast import Contrast, contrast_of, tones_of
from dicom_io.pixels.luts import window

RAMP = np.arange(0, 4096, dtype=np.float32)


def an_image(**attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.BitsAllocated, dataset.PixelRepresentation = 12, 16, 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def a_lut(first: int, bits: int, entries: list[int]) -> Dataset:
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    lut.add_new("LUTData", "US", entries)
    return lut


def display_values(dataset: Dataset, values: NDArray[np.float32] = RAMP) -> tuple[NDArray[np.float32], str | None]:
    voi = luts.voi_of(dataset, luts.Modality(), the_contrast(values))
    pixels = voi.of(values)
    return 1 - pixels if luts.is_inverse(dataset) else pixels, voi.remark


def modality_values(dataset: Dataset, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], str | None]:
    modality = luts.modality_of(dataset, the_contrast(values))
    return modality.of(values), modality.remark


def raw_shown(dataset: Dataset, values: NDArray[np.float32]) -> NDArray[np.float32]:
    contrast, inside = the_contrast(values), np.ones(values.shape, dtype=np.bool_)
    return luts.approximate_presentation(dataset, values, inside, contrast, contrast.tones)


def the_contrast(values: NDArray[np.float32]) -> Contrast:
    found = contrast_of(tones_of(values, np.ones(values.shape, dtype=np.bool_)))
    assert found
    return found


def shown(dataset: Dataset, values: NDArray[np.float32] = RAMP) -> NDArray[np.float32]:
    return display_values(dataset, values)[0]


def an_enhanced_image(groups: str, **of_the_frame: Dataset) -> Dataset:
    group = Dataset()
    for keyword, item in of_the_frame.items():
        setattr(group, keyword, [item])
    return an_image(**{groups: [group]})


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_an_enhanced_image_has_window_and_rescale_in_its_functional_groups(groups: str) -> None:
    window, rescale = an_image(WindowCenter=1000, WindowWidth=501, VOILUTFunction="LINEAR"), an_image(RescaleSlope=2)
    image = an_enhanced_image(groups, FrameVOILUTSequence=window, PixelValueTransformationSequence=rescale)
    rescaled, _ = modality_values(image, RAMP)
    np.testing.assert_allclose(rescaled, 2 * RAMP)
    found, remark = display_values(image, rescaled)
    np.testing.assert_allclose(found, shown(an_image(WindowCenter=1000, WindowWidth=501), 2 * RAMP))
    assert remark is None


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_an_enhanced_image_may_have_a_voi_lut_in_its_functional_groups(groups: str) -> None:
    table = a_lut(0, 12, list(range(4095, -1, -1)))
    found, remark = display_values(an_enhanced_image(groups, FrameVOILUTSequence=an_image(VOILUTSequence=[table])))
    np.testing.assert_allclose(found, 1 - RAMP / 4095, atol=1e-6)
    assert remark is None


def test_rescale_slope_and_intercept_are_applied_before_the_window() -> None:
    rescaled, _ = modality_values(an_image(RescaleSlope=2, RescaleIntercept=-5), RAMP[:3])
    np.testing.assert_allclose(rescaled, [-5, -3, -1])


def test_a_modality_lut_is_applied_and_clamped_at_both_ends() -> None:
    dataset = an_image(ModalityLUTSequence=[a_lut(10, 16, [100, 200, 300])])
    looked_up, _ = modality_values(dataset, np.array([0, 10, 11, 12, 99], dtype=np.float32))
    np.testing.assert_array_equal(looked_up, [100, 100, 200, 300, 300])


@pytest.mark.parametrize("rescale", [{"RescaleSlope": 0}, {"RescaleIntercept": 1e12}, {"RescaleSlope": 1e38}])
def test_a_rescale_that_leaves_no_contrast_is_ignored_with_a_warning(rescale: dict[str, float]) -> None:
    values, remark = modality_values(an_image(**rescale), RAMP)
    np.testing.assert_array_equal(values, RAMP)
    assert remark
    assert "rescale slope" in remark


def test_a_linear_window_has_the_half_pixel_offset_of_the_standard() -> None:
    # PS3.3 §C.11.2.1.2.1, its example: c = 2048, w = 4096 maps 0 to 0 and 4095 to 1.
    values = window(RAMP, 2048, 4096, "LINEAR")
    assert values[0] == 0
    assert values[-1] == 1
    assert values[2048] == pytest.approx((2048 - 2047.5) / 4095 + 0.5, abs=1e-6)


def test_a_linear_exact_window_has_no_half_pixel_offset() -> None:
    values = window(RAMP, 1000, 500, "LINEAR_EXACT")
    assert values[750] == 0
    assert values[1000] == pytest.approx(0.5)
    assert values[1250] == 1


def test_a_sigmoid_window_follows_the_standard() -> None:
    values = window(RAMP, 1000, 400, "SIGMOID")
    assert values[1000] == pytest.approx(0.5)
    assert values[1100] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    assert np.isfinite(values).all()


def test_a_linear_window_of_width_one_is_a_step() -> None:
    assert window(np.array([9, 10, 11], dtype=np.float32), 10, 1, "LINEAR").tolist() == [0, 1, 1]


def test_of_several_windows_the_first_is_used() -> None:
    several = an_image(WindowCenter=[1000, 3000], WindowWidth=[400, 10])
    np.testing.assert_array_equal(shown(several), window(RAMP, 1000, 400, "LINEAR"))


def test_the_voi_lut_function_of_a_window_is_applied() -> None:
    sigmoid = an_image(WindowCenter=1000, WindowWidth=400, VOILUTFunction="SIGMOID")
    np.testing.assert_array_equal(shown(sigmoid), window(RAMP, 1000, 400, "SIGMOID"))


def test_an_image_for_presentation_is_windowed_as_well() -> None:
    image = an_image(WindowCenter=1000, WindowWidth=400, PresentationIntentType="FOR PRESENTATION")
    np.testing.assert_array_equal(shown(image), window(RAMP, 1000, 400, "LINEAR"))


def test_a_voi_lut_is_preferred_to_a_window_and_scaled_by_its_bits() -> None:
    dataset = an_image(VOILUTSequence=[a_lut(100, 10, [0, 511, 1023])], WindowCenter=1, WindowWidth=1)
    np.testing.assert_allclose(shown(dataset)[[0, 100, 101, 102, 4000]], [0, 0, 511 / 1023, 1, 1], atol=1e-6)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("vr", ["US", "OW"])
def test_a_voi_lut_reads_the_same_from_every_encoding(tmp_path: Path, syntax: str, vr: str) -> None:
    entries = np.linspace(0, 4095, 4096).astype("<u2")
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [4096, 0, 12])
    big = syntax == ExplicitVRBigEndian
    lut.add_new("LUTData", vr, entries.tolist() if vr == "US" else entries.astype(">u2" if big else "<u2").tobytes())
    dataset = an_image(VOILUTSequence=[lut], SOPClassUID="1.2.3", SOPInstanceUID="1.2.4")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "lut.dcm", enforce_file_format=True)
    np.testing.assert_allclose(shown(dcmread(tmp_path / "lut.dcm")), RAMP / 4095, atol=1e-3)


def test_a_lut_that_begins_below_zero_is_read_even_if_written_unsigned() -> None:
    dataset = an_image(VOILUTSequence=[a_lut(65536 - 2, 8, [0, 50, 100, 150, 255])])
    values = np.array([-2, -1, 0, 1, 2], dtype=np.float32)
    np.testing.assert_allclose(shown(dataset, values) * 255, [0, 50, 100, 150, 255], atol=1e-4)


def test_a_lut_of_bytes_packed_in_words_is_unpacked() -> None:
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [4, 0, 8])
    lut.add_new("LUTData", "OW", bytes([0, 85, 170, 255]))
    np.testing.assert_allclose(shown(an_image(VOILUTSequence=[lut]), RAMP[:4]), [0, 1 / 3, 2 / 3, 1], atol=1e-6)


def broken_luts() -> dict[str, Dataset]:
    short, nameless = a_lut(0, 12, [1, 2, 3]), a_lut(0, 12, [1, 2, 3])
    short.LUTDescriptor = [300, 0, 12]
    del nameless.LUTDescriptor
    return {"an empty item": Dataset(), "shorter than described": short, "without a descriptor": nameless}


@pytest.mark.parametrize("lut", broken_luts().values(), ids=broken_luts())
def test_an_empty_or_malformed_lut_is_replaced_by_the_next_with_a_warning(lut: Dataset) -> None:
    windowed = an_image(VOILUTSequence=[lut], WindowCenter=1000, WindowWidth=400)
    values, remark = display_values(windowed)
    np.testing.assert_array_equal(values, window(RAMP, 1000, 400, "LINEAR"))
    assert remark
    second = an_image(VOILUTSequence=[lut, a_lut(0, 8, [0, 85, 170, 255])])
    np.testing.assert_allclose(display_values(second, RAMP[:4])[0], [0, 1 / 3, 2 / 3, 1], atol=1e-6)
    values, remark = modality_values(an_image(ModalityLUTSequence=[lut]), RAMP)
    np.testing.assert_array_equal(values, RAMP)
    assert remark


def test_monochrome1_is_inverted_after_the_window_and_only_once() -> None:
    expected = 1 - window(RAMP, 1000, 400, "LINEAR")
    image = an_image(WindowCenter=1000, WindowWidth=400, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(shown(image), expected)
    image.PresentationLUTShape = "INVERSE"
    np.testing.assert_array_equal(shown(image), expected)


def test_images_of_more_than_8_bits_without_a_window_are_stretched_with_a_warning() -> None:
    values, remark = display_values(an_image(), RAMP[500:1001])
    assert (values[0], values[-1]) == (0, 1)
    assert remark is not None
    assert "window" in remark


def test_8_bit_images_without_a_window_are_shown_unchanged() -> None:
    values, remark = display_values(an_image(BitsStored=8), RAMP[:101])
    assert values[100] == pytest.approx(100 / 255)
    assert remark is None


@pytest.mark.parametrize("width", [0, 0.5, -3])
def test_an_impossible_window_is_ignored(width: float) -> None:
    assert display_values(an_image(WindowCenter=5, WindowWidth=width))[1] is not None


def test_raw_images_become_bright_where_the_breast_is_dense() -> None:
    rng = np.random.default_rng(0)
    thickness = np.concatenate([np.zeros(5000), rng.uniform(1, 3, 5000), np.full(200, 3.0)])
    raw = (12000 * np.exp(-thickness)).astype(np.float32)
    linear = raw_shown(an_image(PixelIntensityRelationship="LIN"), raw)
    assert linear[:5000].max() == 0
    assert linear[-1] > 0.99
    logarithm = (1000 * thickness).astype(np.float32)
    already = an_image(PixelIntensityRelationship="LOG", PixelIntensityRelationshipSign=-1)
    np.testing.assert_allclose(raw_shown(already, logarithm), linear, atol=0.02)
