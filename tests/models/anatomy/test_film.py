"""If no spacing is stated, the assumed one makes the picture fit a film."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.anatomy.film import FORMATS_MM, assumed_spacing_mm, known_or_assumed, with_spacing
from models.types.mammogram import Mammogram


@pytest.mark.parametrize(
    ("shape", "mm"),
    [
        ((2294, 1914), 0.1),  # GE, 18 × 23 cm
        ((3062, 2394), 0.1),  # GE, 24 × 30.6 cm
        ((1500, 800), 0.1),  # CDD-CESM, cut out
        ((4736, 2624), 0.0435),  # films of CBIS-DDSM
        ((4432, 2864), 0.0435),
        ((6931, 5500), 0.0435),
        ((2624, 4736), 0.0435),  # on its side
    ],
)
def test_detectors_and_films_are_distinguished_by_size(shape: tuple[int, int], mm: float) -> None:
    assert assumed_spacing_mm(shape, 0.1) == mm


@pytest.mark.parametrize(
    ("shape", "mm"),
    [
        ((2294, 1914), 0.1),
        ((3414, 2486), 300 / 3414),  # CDD-CESM
        ((4096, 3328), 240 / 3328),  # Hologic, whose pixels are of 0.07 mm
    ],
)
def test_a_digital_image_never_gets_a_films_spacing(shape: tuple[int, int], mm: float) -> None:
    assert assumed_spacing_mm(shape, 0.1, film=False) == pytest.approx(mm)


@settings(max_examples=200)
@given(st.integers(1, 20_000), st.integers(1, 20_000), st.floats(0.01, 0.5), st.sampled_from([True, False, None]))
def test_the_assumed_spacing_always_makes_the_image_fit_a_film(
    rows: int, columns: int, detector_mm: float, film: bool | None
) -> None:
    mm = assumed_spacing_mm((rows, columns), detector_mm, film)
    low, high = sorted((rows * mm, columns * mm))
    assert any(low <= 1.031 * short and high <= 1.031 * long for short, long in FORMATS_MM)
    assert mm <= max(detector_mm, 0.0435)


@pytest.mark.parametrize("film", [None, True, False])
@pytest.mark.parametrize("rows", [2294, 4736])
def test_an_image_of_unknown_origin_and_spacing_is_a_film_if_it_is_too_large_for_a_detector(
    rows: int, film: bool | None
) -> None:
    image = Mammogram(np.zeros((rows, 1914), np.float32), film=film)
    assert with_spacing(image, 0.1).film == (film if film is not None else rows == 4736)


def test_a_stated_spacing_is_never_replaced_by_an_assumed_one() -> None:
    image = Mammogram(np.zeros((5000, 3000), np.float32), spacing_mm=(0.07, 0.08))
    assert known_or_assumed(image, 0.1) == (0.07, 0.08)
    assert with_spacing(image, 0.1).spacing_mm == (0.07, 0.08)
