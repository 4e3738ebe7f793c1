"""The nipple is the tip of the breast."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from models.anatomy.landmarks import find_nipple
from node.demo.studies import DemoStudy

ROWS, COLUMNS = 1200, 900


def _breast(nipple_row: int = 600) -> NDArray[np.float32]:
    """Half an ellipse of fat against the left edge, with a nipple of 40 by 40 pixels."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    pixels = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    pixels[((y - 600) / 450) ** 2 + (x / 500) ** 2 < 1] = 0.2
    pixels[nipple_row - 20 : nipple_row + 20, 480:540] = 0.2
    return pixels


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_nipple_is_the_point_farthest_from_the_chest_wall(mirrored: bool) -> None:
    pixels = _breast(nipple_row=650)
    found = find_nipple(np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels, "CC")
    assert found is not None
    assert abs(found[0] - 650) <= 25
    assert abs(found[1] - (COLUMNS - 540 if mirrored else 540)) <= 12


def test_in_an_oblique_view_the_nipple_is_below_the_point_farthest_from_the_edge() -> None:
    y, x = np.mgrid[:ROWS, :COLUMNS]
    round_breast = np.where(((y - 600) / 450) ** 2 + (x / 500) ** 2 < 1, 0.2, 0).astype(np.float32)
    level, oblique = find_nipple(round_breast, "CC"), find_nipple(round_breast, "MLO")
    assert level is not None
    assert oblique is not None
    assert oblique[0] > level[0] + 80


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_an_image_with_a_single_grey_value_has_no_nipple(grey: float) -> None:
    assert find_nipple(np.full((300, 200), grey, dtype=np.float32), "MLO") is None


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (40, 60), (1, 5000)])
def test_a_nipple_lies_inside_its_image_even_if_the_image_is_tiny(shape: tuple[int, int]) -> None:
    pixels = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    found = find_nipple(pixels, "CC")
    assert found is None or (0 <= found[0] < shape[0] and 0 <= found[1] < shape[1])


def test_on_real_films_the_nipple_is_near_where_a_person_marked_it(mammogram_studies: list[DemoStudy]) -> None:
    marked = {  # shares of the image's height, by eye; studies by patient, views as the demo orders them
        "P_00173": {"RCC": 0.51, "LCC": 0.465, "RMLO": 0.61, "LMLO": 0.68},
        "P_00820": {"RCC": 0.53, "LCC": 0.555, "RMLO": 0.67, "LMLO": 0.60},
    }
    off = []
    for study in mammogram_studies:
        for path in study.files:
            image = dcmread(path)
            pixels = (image.pixel_array / 65535).astype(np.float32)
            found = find_nipple(pixels, image.ViewPosition)
            assert found is not None
            off.append(abs(found[0] / pixels.shape[0] - marked[study.patient_id][path.stem]))
    assert max(off) < 0.1
    assert np.median(off) < 0.02
