"""Coordinates in a frame map to the right place in the image, and grey values are normalised."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.framing import frame, grown, scaled_frame
from models.types.mammogram import Mammogram
from models.types.region import Box, Mask


@pytest.mark.parametrize("side", [64, 512])
@pytest.mark.parametrize("part", [Box(0, 0, 300, 200), Box(40, 10, 290, 60), Box(100, 30, 160, 200)])
def test_a_box_maps_to_the_frame_and_back(part: Box, side: int) -> None:
    shown = frame(np.random.default_rng(0).random((300, 200), dtype=np.float32), part, side)
    box = Box(part.top + 8, part.left + 4, part.top + 48, part.left + 44)
    there = (
        (box.left - part.left) * shown.scale + shown.left,
        (box.top - part.top) * shown.scale + shown.top,
        (box.right - part.left) * shown.scale + shown.left,
        (box.bottom - part.top) * shown.scale + shown.top,
    )
    assert shown.to_source(*there) == box


def test_a_box_is_cut_to_the_part_shown() -> None:
    shown = frame(np.zeros((100, 100), dtype=np.float32), Box(10, 20, 90, 60), 80)
    assert shown.to_source(-10, -10, 500, 500) == Box(10, 20, 90, 60)
    assert shown.to_source(0, 0, 10, 10) is None


def test_a_bright_spot_and_its_mask_overlap_in_the_frame() -> None:
    pixels = np.zeros((400, 240), dtype=np.float32)
    box = Box(100, 50, 140, 80)
    pixels[box.slices] = 1
    shown = frame(pixels, Box(20, 0, 380, 200), 128)
    drawn = shown.draw(Mask(box, np.ones((40, 30), dtype=np.bool_)))
    bright = shown.pixels > 0.5
    assert np.count_nonzero(drawn & bright) / np.count_nonzero(drawn | bright) > 0.85


@pytest.mark.parametrize(("gain", "offset"), [(0.3, 0.0), (0.5, 0.4)])
def test_a_darker_or_lower_contrast_image_gives_the_same_frame(gain: float, offset: float) -> None:
    pixels = np.random.default_rng(1).random((200, 100), dtype=np.float32)
    reference = frame(pixels, Box(0, 0, 200, 100), 64)
    changed = frame((pixels * gain + offset).astype(np.float32), Box(0, 0, 200, 100), 64)
    assert np.allclose(reference.pixels, changed.pixels, atol=1e-4)


def test_an_image_with_a_single_grey_value_is_shown_as_air() -> None:
    shown = frame(np.full((50, 40), 0.7, dtype=np.float32), Box(0, 0, 50, 40), 32)
    assert not shown.pixels.any()


def _breast(rows: int, columns: int, level: float = 0.5) -> NDArray[np.float32]:
    """A half disc at the left edge, on air, with a white border along that edge and a burnt-in label."""
    y, x = np.mgrid[:rows, :columns]
    inside = ((y - rows / 2) / (rows * 0.4)) ** 2 + (x / (columns * 0.6)) ** 2 < 1
    pixels = np.where(inside, level + 0.1 * np.sin(y / 9) * np.cos(x / 7), 0.02).astype(np.float32)
    pixels[:, : columns // 100] = 1.0
    pixels[rows // 20 : rows // 10, -columns // 5 : -columns // 20] = 1.0
    return pixels


@pytest.mark.parametrize("spacing", [0.1, 0.2])
def test_at_a_fixed_scale_a_millimetre_has_the_same_size_for_any_pixel_spacing(spacing: float) -> None:
    side = round(160 / spacing)
    shown = scaled_frame(Mammogram(_breast(side, side), (spacing, spacing)), 0.4)
    assert shown.scale == pytest.approx(spacing / 0.4)
    assert all(length % 32 == 0 for length in shown.pixels.shape)
    breast = np.flatnonzero((shown.pixels > 0).any(axis=1))
    assert (breast[-1] - breast[0]) * 0.4 == pytest.approx(0.8 * 160, abs=2 * 5 + 2)


def test_at_a_fixed_scale_the_border_and_labels_of_a_film_are_shown_as_air() -> None:
    pixels = _breast(800, 800)
    shown = scaled_frame(Mammogram(pixels, (0.2, 0.2)), 0.4)
    bright = np.argwhere(shown.pixels > 0.999)
    label = Box(40, 640, 80, 760)
    for row, column in bright:
        there = shown.to_source(column, row, column + 1, row + 1)
        assert there is not None
        assert there.bottom <= label.top or there.top >= label.bottom or there.right <= label.left


def test_at_a_fixed_scale_a_frame_has_a_maximum_size_for_any_stated_spacing() -> None:
    shown = scaled_frame(Mammogram(_breast(800, 600), (5.0, 5.0)), 0.2)
    assert max(shown.pixels.shape) <= 1600


def test_an_image_without_a_spacing_has_no_frame_at_a_fixed_scale() -> None:
    with pytest.raises(ValueError, match="without a spacing has no scale"):
        scaled_frame(Mammogram(_breast(100, 100)), 0.2)


@pytest.mark.parametrize("distance", [1, 2, 5, 17, 50])
def test_a_shape_grows_as_by_a_dilation_with_a_disc_also_at_the_edges(distance: int) -> None:
    shape = np.random.default_rng(distance).random((150, 90)) > 0.998
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * distance + 1, 2 * distance + 1))
    assert np.array_equal(grown(shape, distance), cv2.dilate(shape.astype(np.uint8), disc) > 0)
