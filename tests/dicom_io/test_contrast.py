"""An image with contrast is displayed with contrast, for any display attributes in its header."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.pixels.contrast import Contrast, contrast_of, tones_of
from dicom_io.pixels.luts import approximate_presentation, is_inverse, modality_of, voi_of

Picture = NDArray[np.uint16]


def breast(bits: int) -> Picture:
    """Air at 1/100 of the range, gland at a quarter with noise, a mass at three quarters."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:120, :90]
    inside = ((y - 60) / 50) ** 2 + (x / 67) ** 2 < 1
    mass = ((y - 54) / 9) ** 2 + ((x - 27) / 8) ** 2 < 1
    gland = 0.25 + 0.08 * np.cos(y / 5) + rng.normal(0, 0.01, y.shape)
    return (np.where(mass, 0.75, np.where(inside, gland, 0.01)) * ((1 << bits) - 1)).astype(np.uint16)


def contrast(picture: Picture) -> Contrast:
    found = contrast_of(tones_of(picture, np.ones(picture.shape, dtype=np.bool_)))
    assert found
    return found


def shown(header: Dataset, picture: Picture) -> tuple[NDArray[np.float32], list[str]]:
    modality = modality_of(header, contrast(picture))
    voi = voi_of(header, modality, contrast(picture))
    pixels = voi.of(modality.of(picture))
    return 1 - pixels if is_inverse(header) else pixels, [entry for entry in (modality.remark, voi.remark) if entry]


def has_contrast(pixels: NDArray[np.float32], picture: Picture) -> bool:
    """Whether a picture distinguishes the regions that the stored values distinguish."""
    order = np.argsort(picture.ravel())
    everything = contrast_of(picture.ravel()[order])
    assert everything
    return everything.shown_by(pixels.ravel()[order])


def header(bits: int, **attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.BitsStored = "MONOCHROME2", bits
    dataset.BitsAllocated, dataset.PixelRepresentation = 8 if bits <= 8 else 16, 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def lut(bits: int, entries: NDArray[np.int64], first: int = 0) -> Dataset:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [len(entries) & 0xFFFF, first, bits])
    table.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return table


UNFIT = {
    "an 8-bit copy behind its 12-bit source's window": header(8, WindowCenter=2000, WindowWidth=4000),
    "a 16-bit window before 12 bits": header(12, WindowCenter=32768, WindowWidth=65536),
    "an 8-bit window before 12 bits": header(12, WindowCenter=12, WindowWidth=20),
    "a window above all values": header(12, WindowCenter=60000, WindowWidth=100),
    "a window below all values": header(12, WindowCenter=-500, WindowWidth=100),
    "a window for other rescaled values": header(12, WindowCenter=2048, WindowWidth=4096, RescaleIntercept=-30000),
    "a sigmoid elsewhere": header(12, WindowCenter=60000, WindowWidth=10, VOILUTFunction="SIGMOID"),
    "a slope that leaves nothing": header(12, RescaleSlope=1e-9, WindowCenter=2048, WindowWidth=4096),
    "16 bits over 12-bit entries": header(12, VOILUTSequence=[lut(16, np.arange(4096))]),
    "a table for 8 bits": header(12, VOILUTSequence=[lut(8, np.arange(256))]),
    "a table for higher values": header(12, VOILUTSequence=[lut(12, np.arange(256), first=40000)]),
    "a Modality LUT for 8 bits": header(12, ModalityLUTSequence=[lut(8, np.arange(16))]),
    "an empty VOI item": header(12, VOILUTSequence=[Dataset()]),
    "an empty VOI item before a window that does not fit": header(
        12, VOILUTSequence=[Dataset()], WindowCenter=60000, WindowWidth=1
    ),
}


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_or_lut_that_does_not_fit_the_pixels_is_ignored_with_a_warning(
    unfit: Dataset, photometric: str
) -> None:
    unfit.PhotometricInterpretation = photometric
    picture = breast(unfit.BitsStored)
    pixels, remarks = shown(unfit, picture)
    assert has_contrast(pixels, picture)
    correlation = np.corrcoef(pixels.ravel(), picture.ravel())[0, 1]
    assert correlation < -0.8 if photometric == "MONOCHROME1" else correlation > 0.8
    assert any("fit" in remark or "leave no picture" in remark for remark in remarks)


@pytest.mark.parametrize(
    "fit",
    [
        header(12, WindowCenter=2048, WindowWidth=4096),
        header(12, WindowCenter=1000, WindowWidth=1200),
        header(12, WindowCenter=2500, WindowWidth=1500, VOILUTFunction="SIGMOID"),
        header(12, VOILUTSequence=[lut(12, 4095 - np.arange(4096))]),
        header(12, VOILUTSequence=[lut(10, np.arange(4096) // 4)], WindowCenter=1, WindowWidth=1),
        header(8),
        header(14, RescaleSlope=0.25, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=4000),
    ],
)
def test_a_window_or_lut_that_fits_is_used_without_a_warning(fit: Dataset) -> None:
    assert not shown(fit, breast(fit.BitsStored))[1]


def test_the_second_window_is_used_if_the_first_does_not_fit() -> None:
    both = header(12, WindowCenter=[60000, 1500], WindowWidth=[10, 3000])
    second = header(12, WindowCenter=1500, WindowWidth=3000)
    pixels, remarks = shown(both, breast(12))
    np.testing.assert_array_equal(pixels, shown(second, breast(12))[0])
    assert remarks


def test_a_single_very_bright_pixel_does_not_darken_all_others() -> None:
    picture = breast(12)
    picture[0, 0] = 65535
    pixels, _ = shown(header(16), picture)
    assert pixels[54, 27] - pixels[60, 60] > 0.3


def border(picture: Picture) -> NDArray[np.bool_]:
    return np.indices(picture.shape)[0] < 3


def label(picture: Picture) -> NDArray[np.bool_]:
    return (np.indices(picture.shape)[0] < 10) & (np.indices(picture.shape)[1] > 70)


@pytest.mark.parametrize("where", [border, label])
@pytest.mark.parametrize(
    ("value", "stated"),
    [
        (65535, header(16)),
        (65535, header(16, WindowCenter=32768, WindowWidth=65536)),
        (16383, header(14, WindowCenter=8192, WindowWidth=16384)),
        (16383, header(16, WindowCenter=2048, WindowWidth=4096)),
    ],
)
def test_the_breast_stays_visible_beside_a_plateau_far_above_all_other_values(
    where, value: int, stated: Dataset
) -> None:
    picture = breast(12)
    pixels, remarks = shown(stated, np.where(where(picture), value, picture).astype(np.uint16))
    rest = ~where(picture)
    assert np.percentile(pixels[rest], 90) > 0.2
    assert has_contrast(pixels[rest], picture[rest])
    assert bool(remarks) == (stated.get("WindowWidth") != 4096)


def test_the_breast_stays_visible_beside_a_plateau_far_below_all_other_values() -> None:
    picture = breast(12).astype(np.int32)
    pixels, remarks = shown(header(16), np.where(border(breast(12)), -32768, picture).astype(np.int16))
    rest = ~border(breast(12))
    assert has_contrast(pixels[rest], breast(12)[rest])
    assert remarks


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("first", [0, 3])
def test_a_lut_with_swapped_bytes_is_read_in_the_right_order_with_a_warning(sequence: str, first: int) -> None:
    picture = breast(12)
    entries = np.arange(4096, dtype=np.uint16)
    swapped = header(12, **{sequence: [lut(12, entries.byteswap(), first)]})
    pixels, remarks = shown(swapped, picture)
    np.testing.assert_array_equal(pixels, shown(header(12, **{sequence: [lut(12, entries, first)]}), picture)[0])
    assert "bytes swapped" in remarks[0]


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_lut_of_noise_is_ignored_with_a_warning(sequence: str) -> None:
    picture = breast(12)
    noise = np.random.default_rng(1).integers(0, 4096, 4096)
    pixels, remarks = shown(header(12, WindowCenter=2048, WindowWidth=4096, **{sequence: [lut(12, noise)]}), picture)
    assert np.corrcoef(pixels.ravel(), picture.ravel())[0, 1] > 0.99
    assert any("fit" in remark for remark in remarks)


@pytest.mark.parametrize("stated", [{}, {"RescaleIntercept": -5000}, {"RescaleSlope": 0.0001}])
@pytest.mark.parametrize("relationship", ["LIN", "LOG"])
def test_a_raw_image_has_contrast_with_any_rescale(stated: dict[str, float], relationship: str) -> None:
    raw = header(12, PixelIntensityRelationship=relationship, PixelIntensityRelationshipSign=1, **stated)
    picture = (4095 - breast(12)).astype(np.uint16)
    modality, inside = modality_of(raw, contrast(picture)), np.ones(picture.shape, dtype=np.bool_)
    tones = modality.of(contrast(picture).tones)
    pixels = approximate_presentation(raw, modality.of(picture), inside, contrast(picture), tones)
    assert has_contrast(pixels, picture)
    assert pixels[54, 27] > pixels[60, 60]  # the mass is bright


numbers = some.one_of(some.integers(-70000, 70000), some.floats(-1e30, 1e30, allow_nan=False))


@settings(max_examples=150)
@given(
    bits=some.sampled_from([8, 10, 12, 14, 16]),
    centre=numbers,
    width=numbers,
    function=some.sampled_from(["", "LINEAR", "LINEAR_EXACT", "SIGMOID", "OTHER"]),
    slope=numbers,
    intercept=numbers,
    table=some.none() | some.tuples(some.integers(0, 16), some.integers(1, 5000), some.integers(0, 65535)),
    modality_table=some.booleans(),
    photometric=some.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
)
def test_no_combination_of_header_values_gives_a_picture_without_contrast(
    bits, centre, width, function, slope, intercept, table, modality_table, photometric
) -> None:
    stated = header(bits, VOILUTFunction=function, PhotometricInterpretation=photometric)
    for keyword, value in zip(
        ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"),
        (centre, width, slope, intercept),
        strict=True,
    ):
        stated.add_new(keyword, "DS", f"{value:.9g}")
    if table:
        depth, length, first = table
        sequence = "ModalityLUTSequence" if modality_table else "VOILUTSequence"
        setattr(stated, sequence, [lut(depth, np.arange(length), first)])
    picture = breast(bits)
    pixels, _ = shown(stated, picture)
    assert has_contrast(pixels, picture)
    assert np.isfinite(pixels).all()
    assert pixels.min() >= 0
    assert pixels.max() <= 1
