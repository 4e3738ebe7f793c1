"""Augmented pictures still show the lesions at their boxes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from models.training.augment import Picture, changed, erased, mosaic, moved
from models.training.scanners import relit

SIDE = 96
Change = Callable[[Picture, np.random.Generator], Picture]


def _picture(top: int = 30, left: int = 50, height: int = 16, width: int = 10) -> Picture:
    """A bright block on a dark background: the bright pixels are the lesion."""
    pixels = np.full((SIDE, SIDE), 0.1, dtype=np.float32)
    pixels[top : top + height, left : left + width] = 1
    right, bottom = left + width - 1, top + height - 1
    outline = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float32)
    return Picture(pixels, (outline,), (1,))


def _mosaic(picture: Picture, draw: np.random.Generator) -> Picture:
    empty = Picture(np.zeros((SIDE, SIDE), dtype=np.float32), (), ())
    return mosaic([empty, picture, empty, empty], draw)


@pytest.mark.parametrize("change", [moved, _mosaic])
@pytest.mark.parametrize("seed", range(12))
def test_boxes_follow_the_pixels(change: Change, seed: int) -> None:
    made = change(_picture(), np.random.default_rng(seed))
    if not made.kinds:
        return  # moved out of the picture
    ((left, top, right, bottom),) = made.boxes()
    rows, columns = np.nonzero(made.pixels > 0.55)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert (left, top, right, bottom) == pytest.approx(edges, abs=1.5)


def test_a_lesion_moved_out_of_the_picture_has_no_box() -> None:
    pictures = [moved(_picture(0, 0, 8, 8), np.random.default_rng(seed)) for seed in range(40)]
    shown = [picture.pixels.max() > 0.9 for picture in pictures]
    assert 0 < sum(bool(picture.kinds) for picture in pictures) < 40
    assert all(was_shown for picture, was_shown in zip(pictures, shown, strict=True) if picture.kinds)


@pytest.mark.parametrize("seed", range(20))
def test_patches_never_cover_a_lesion(seed: int) -> None:
    picture = _picture(10, 10, 60, 60)
    made = erased(picture, np.random.default_rng(seed))
    assert np.array_equal(made.pixels[10:70, 10:70], picture.pixels[10:70, 10:70])


def test_patches_are_painted_outside_lesions() -> None:
    pictures = [erased(_picture(), np.random.default_rng(seed)) for seed in range(10)]
    assert any(not np.array_equal(picture.pixels, _picture().pixels) for picture in pictures)


@pytest.mark.parametrize("seed", range(30))
def test_the_grey_scale_of_another_scanner_keeps_shape_range_and_place(seed: int) -> None:
    picture = _picture()
    made = relit(picture.pixels, np.random.default_rng(seed))
    assert made.shape == (SIDE, SIDE)
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert made[32:44, 52:58].mean() > made[:20].mean() + 0.3


def test_the_same_random_draws_give_the_same_picture_and_others_another() -> None:
    picture, same, other = (changed(_picture(), np.random.default_rng(seed), 1.0).pixels for seed in (4, 4, 5))
    assert np.array_equal(picture, same)
    assert not np.array_equal(picture, other)


def test_augmentation_of_strength_zero_changes_no_pixel() -> None:
    draw = np.random.default_rng(0)
    made = changed(moved(_picture(), draw, 0.0), draw, 0.0)
    assert np.allclose(made.pixels, _picture().pixels, atol=1e-6)
    assert np.allclose(made.boxes(), _picture().boxes(), atol=1e-4)


def test_a_window_of_a_larger_picture_mostly_shows_a_lesion_and_stays_inside_the_picture() -> None:
    pixels = np.full((400, 300), 0.5, dtype=np.float32)
    square = np.array([[40, 40], [60, 40], [60, 60], [40, 60]], dtype=np.float32)
    draw = np.random.default_rng(0)
    windows = [moved(Picture(pixels, (square,), (1,)), draw, 0.0, (128, 160)) for _ in range(100)]
    assert all(window.pixels.shape == (160, 128) for window in windows)
    assert all(window.pixels.min() > 0 for window in windows)
    assert 75 <= sum(bool(window.kinds) for window in windows) < 100


def test_a_picture_smaller_than_its_window_is_shown_whole_in_the_middle() -> None:
    window = moved(Picture(np.ones((60, 50), dtype=np.float32), (), ()), np.random.default_rng(0), 0.0, (100, 100))
    rows, columns = (np.flatnonzero(window.pixels.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == pytest.approx((20, 79, 25, 74), abs=1)
