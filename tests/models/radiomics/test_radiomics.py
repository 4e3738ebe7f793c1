"""Radiomics describe the breast's texture, independent of spacing, contrast and the air beside it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.filters import gabor

from models.anatomy.breast import breast_mask
from models.radiomics.gabor import GaborBank
from models.radiomics.regions import RegionSettings, regions_of
from models.radiomics.texture import LENGTH, Radiomics
from models.types.mammogram import Mammogram
from models.types.region import Box, Mask

# Half the sizes of the paper, at twice the working spacing: four times fewer pixels than by default.
SMALL = RegionSettings(near_mm=15, far_mm=(30, 45), working_mm=0.5)


@pytest.fixture(scope="module")
def radiomics() -> Radiomics:
    return Radiomics(SMALL)


@pytest.fixture(scope="module")
def mammogram() -> Mammogram:
    """A breast of 85 × 68 mm at the left edge, 0.25 mm per pixel, with texture of several sizes."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:400, :300]
    breast = ((y - 200) / 170) ** 2 + (x / 270) ** 2 < 1
    grain = sum(
        cv2.resize(draw.random((400 // size, 300 // size), dtype=np.float32), (300, 400), interpolation=cv2.INTER_CUBIC)
        for size in (4, 10, 25)
    )
    pixels = np.where(breast, 0.35 + 0.15 * np.clip(grain, 0, 3), 0)
    return Mammogram(pixels.astype(np.float32), spacing_mm=(0.25, 0.25))


def _disc(row: int, column: int, radius: int) -> Mask:
    y, x = np.mgrid[: 2 * radius, : 2 * radius] - radius + 0.5
    return Mask(Box(row - radius, column - radius, row + radius, column + radius), np.hypot(y, x) < radius)


MASS = _disc(200, 110, 14)


def test_the_filter_bank_gives_the_responses_of_skimage_up_to_the_border() -> None:
    picture = np.random.default_rng(1).random((50, 50), dtype=np.float32)
    found = GaborBank((0.1, 0.25), 3, 50).magnitudes(picture)
    for place, (frequency, turn) in enumerate((frequency, turn) for frequency in (0.1, 0.25) for turn in range(3)):
        real, imaginary = gabor(picture, frequency, theta=np.pi * turn / 3, mode="reflect")
        expected = np.hypot(real, imaginary)
        assert np.abs(found[place] - expected).max() < 1e-5 * expected.max()


def test_a_filter_bank_refuses_pictures_of_another_size() -> None:
    with pytest.raises(ValueError, match="50 × 50"):
        GaborBank((0.25,), 2, 50).magnitudes(np.zeros((40, 50), dtype=np.float32))


def test_the_filter_of_the_width_and_direction_of_stripes_has_the_largest_response() -> None:
    x = np.arange(64, dtype=np.float32)
    stripes = np.tile(np.sin(2 * np.pi * x / 8), (64, 1)).astype(np.float32)
    strength = GaborBank((1 / 16, 1 / 8, 1 / 4), 4, 64).magnitudes(stripes).mean(axis=(1, 2))
    assert np.argmax(strength) == 4  # the second wavelength, the first direction


def test_a_feature_vector_has_two_textures_of_unit_length_and_their_similarity(
    radiomics: Radiomics, mammogram: Mammogram
) -> None:
    (texture,) = radiomics.textures(mammogram, [MASS])
    assert texture.vector.shape == (LENGTH,)
    assert np.linalg.norm(texture.near) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(texture.far) == pytest.approx(1, abs=1e-5)
    assert texture.similarity == pytest.approx(float(texture.near @ texture.far))


def test_texture_does_not_depend_on_the_spacing(radiomics: Radiomics, mammogram: Mammogram) -> None:
    (texture,) = radiomics.textures(mammogram, [MASS])
    finer = Mammogram(cv2.resize(mammogram.pixels, None, fx=2, fy=2), spacing_mm=(0.125, 0.125))
    (same,) = radiomics.textures(finer, [_disc(400, 220, 28)])
    assert np.abs(same.vector - texture.vector).max() < 0.02  # a copy with smaller pixels is smoother
    assert float(same.near @ texture.near) > 0.999


def test_texture_does_not_depend_on_the_contrast(radiomics: Radiomics, mammogram: Mammogram) -> None:
    (texture,) = radiomics.textures(mammogram, [MASS])
    (same,) = radiomics.textures(replace(mammogram, pixels=mammogram.pixels * np.float32(0.6)), [MASS])
    assert np.abs(same.vector - texture.vector).max() < 1e-3


def test_tissue_unlike_its_surroundings_is_less_similar(radiomics: Radiomics, mammogram: Mammogram) -> None:
    (texture,) = radiomics.textures(mammogram, [MASS])
    y, x = np.mgrid[:400, :300]
    spiculated = 0.5 + 0.2 * np.sin(x) * (np.hypot(y - 200, x - 110) < 30)
    changed = np.where(np.hypot(y - 200, x - 110) < 30, spiculated, mammogram.pixels).astype(np.float32)
    (other,) = radiomics.textures(replace(mammogram, pixels=changed), [MASS])
    assert other.similarity < texture.similarity


def test_the_texture_of_a_lesion_at_the_border_of_the_breast_excludes_air(mammogram: Mammogram) -> None:
    breast = breast_mask(mammogram.pixels)
    border = _disc(200, 255, 10)
    noisy = np.where(breast, mammogram.pixels, np.random.default_rng(2).random(breast.shape)).astype(np.float32)
    clean = regions_of(mammogram, breast, border, SMALL)
    other = regions_of(replace(mammogram, pixels=noisy), breast, border, SMALL)
    assert clean.near.any()
    assert np.abs(clean.picture - other.picture).max() < 1e-3
    # The grey values of the skin's edge, from 0.35 to 0, are nowhere in the picture.
    assert np.ptp(clean.picture) < np.ptp(mammogram.pixels[_wholly(breast)]) + 1e-6


def _wholly(breast: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return cv2.erode(breast.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.bool_)


def test_the_regions_have_their_named_size_and_are_cut_to_the_breast(mammogram: Mammogram) -> None:
    breast = breast_mask(mammogram.pixels)
    regions = regions_of(mammogram, breast, MASS, SMALL)
    area_mm2 = SMALL.working_mm**2
    assert np.count_nonzero(regions.near) * area_mm2 == pytest.approx(np.pi * 7.5**2, rel=0.03)
    ring = np.pi * (22.5**2 - 15**2)
    assert np.count_nonzero(regions.far) * area_mm2 == pytest.approx(ring, rel=0.03)
    at_the_edge = regions_of(mammogram, breast, _disc(200, 20, 14), SMALL)
    assert np.count_nonzero(at_the_edge.far) < 0.8 * np.count_nonzero(regions.far)


def test_a_region_outside_the_breast_has_no_texture(radiomics: Radiomics) -> None:
    y, x = np.mgrid[:400, :300]
    tiny = np.where(np.hypot(y - 200, x) < 50, 0.5 + 0.1 * np.sin(x + y), 0).astype(np.float32)
    (texture,) = radiomics.textures(Mammogram(tiny, spacing_mm=(0.25, 0.25)), [_disc(200, 10, 8)])
    assert not texture.far.any()
    assert texture.similarity == 0
    assert np.isfinite(texture.vector).all()


def test_millimetres_without_a_spacing_are_refused(radiomics: Radiomics, mammogram: Mammogram) -> None:
    with pytest.raises(ValueError, match="spacing_mm"):
        radiomics.textures(replace(mammogram, spacing_mm=None), [MASS])
    assert radiomics.textures(replace(mammogram, spacing_mm=None), []) == []
