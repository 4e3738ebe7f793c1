"""The breast is found on films and detectors alike."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from models.anatomy.breast import breast_box, breast_box_of, breast_mask, breast_mask_of, breast_side
from models.anatomy.film import with_spacing
from models.types.mammogram import Mammogram
from models.types.region import Box
from node.demo.studies import DemoStudy

ROWS, COLUMNS = 1200, 900


def _mammogram(air: float = 0.0) -> NDArray[np.float32]:
    """A half ellipse of fat with a dense gland in it, against the left edge."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    pixels = np.full((ROWS, COLUMNS), air, dtype=np.float32)
    pixels[((y - 600) / 450) ** 2 + (x / 500) ** 2 < 1] = 0.2
    pixels[((y - 600) / 200) ** 2 + ((x - 200) / 150) ** 2 < 1] = 0.8
    return pixels


def test_the_mask_reaches_the_skin_and_covers_more_than_the_dense_gland() -> None:
    pixels = _mammogram()
    truth = pixels > 0
    mask = breast_mask(pixels)
    assert mask.dtype == np.bool_
    assert mask.shape == pixels.shape
    assert np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth) > 0.95


def test_a_background_that_is_not_black_is_left_out_of_the_mask() -> None:
    noisy = _mammogram(air=0.02) + np.random.default_rng(0).uniform(0, 0.01, (ROWS, COLUMNS)).astype(np.float32)
    truth = _mammogram() > 0
    mask = breast_mask(noisy)
    assert np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth) > 0.95


def test_labels_and_a_bright_film_border_are_left_out_of_the_mask() -> None:
    pixels = _mammogram()
    pixels[60:140, 700:850] = 1.0
    pixels[:30] = pixels[-30:] = 1.0
    mask = breast_mask(pixels)
    assert not mask[60:140, 700:850].any()
    assert not mask[:30, 300:].any()


def test_the_breast_of_an_image_is_found_once_and_again_in_other_pixels() -> None:
    image = Mammogram(_mammogram())
    wanted = breast_mask(image.pixels)
    image_sent = pickle.loads(pickle.dumps(image))  # noqa: S301 - our own
    assert (breast_mask_of(image) == wanted).all()
    image.pixels[:] = image_sent.pixels[:] = 0  # it is not looked at again …
    assert (breast_mask_of(image) == wanted).all()
    assert breast_box_of(image) == breast_box(_mammogram())
    assert not breast_mask_of(image_sent).any()
    assert not breast_mask_of(replace(image, pixels=image.pixels)).any()  # … but by a copy, whose pixels may be others
    known = with_spacing(image, 0.1)
    assert known.spacing_mm is not None
    assert (breast_mask_of(known) == wanted).all()  # the same pixels, of which more is known


def test_the_box_encloses_the_breast_tightly() -> None:
    box = breast_box(_mammogram())
    assert abs(box.top - 150) < 24
    assert abs(box.bottom - 1050) < 24
    assert box.left == 0
    assert abs(box.right - 500) < 24


def test_the_chest_wall_is_on_the_side_the_breast_lies_against() -> None:
    pixels = _mammogram()
    assert breast_side(pixels) == "left"
    assert breast_side(np.ascontiguousarray(pixels[:, ::-1])) == "right"


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_an_image_with_a_single_grey_value_has_no_breast(grey: float) -> None:
    pixels = np.full((300, 200), grey, dtype=np.float32)
    assert not breast_mask(pixels).any()
    assert breast_side(pixels) is None
    assert breast_box(pixels) == Box(0, 0, 300, 200)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (40, 60)])
def test_tiny_images_have_a_mask_of_their_shape(shape: tuple[int, int]) -> None:
    pixels = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    assert breast_mask(pixels).shape == shape


def test_on_real_films_the_chest_wall_agrees_with_the_laterality(mammogram_studies: list[DemoStudy]) -> None:
    for study in mammogram_studies:
        for path in study.folder.glob("*.dcm"):
            image = dcmread(path)
            pixels = (image.pixel_array / 65535).astype(np.float32)
            assert breast_side(pixels) == ("left" if image.ImageLaterality == "L" else "right")
            assert 0.1 < breast_mask(pixels).mean() < 0.5
