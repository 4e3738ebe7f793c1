"""Overlap of outlines, against values computed by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from models.measures.overlap import all_border, boundary_iou, diameter_mm, enlarged, overlap
from models.types.region import Box, Mask


def rectangle(top: int, left: int, bottom: int, right: int) -> Mask:
    return Mask(Box(top, left, bottom, right), np.ones((bottom - top, right - left), dtype=np.bool_))


def test_dice_iou_and_pixel_rates_equal_those_counted_by_hand() -> None:
    drawn, true = rectangle(0, 5, 10, 15), rectangle(0, 0, 10, 10)
    counted = overlap([drawn], [true], (40, 40), Box(0, 0, 20, 20))
    assert counted.dice == pytest.approx(2 * 50 / 200)
    assert counted.iou == pytest.approx(50 / 150)
    assert counted.tpr == 0.5
    assert counted.fpr == pytest.approx(50 / 300)
    assert counted.accuracy == pytest.approx(300 / 400)


def test_pixels_drawn_outside_the_window_count_for_dice_but_not_for_the_rates() -> None:
    counted = overlap([rectangle(0, 0, 10, 40)], [rectangle(0, 0, 10, 10)], (40, 40), Box(0, 0, 10, 20))
    assert counted.extra == 100
    assert counted.drawn == 400
    assert counted.fpr == 1.0


def test_two_empty_masks_overlap_fully_and_an_empty_mask_does_not_overlap_a_lesion() -> None:
    assert overlap([], [], (10, 10)).dice == 1
    assert overlap([], [rectangle(0, 0, 5, 5)], (10, 10)).dice == 0
    assert math.isnan(overlap([], [], (10, 10)).tpr)


def test_outlines_that_overlap_count_once() -> None:
    twice = [rectangle(0, 0, 5, 5), rectangle(0, 0, 5, 5)]
    assert overlap(twice, [rectangle(0, 0, 5, 5)], (10, 10)).dice == 1


def test_boundary_iou_equals_that_of_the_published_erosion() -> None:
    shape = (200, 150)  # a diagonal of 250: borders 5 pixels wide
    draw = np.random.default_rng(1)
    noise = cv2.GaussianBlur(draw.standard_normal((90, 80)), (31, 31), 0)
    first, second = Mask(Box(20, 10, 110, 90), noise > 0), Mask(Box(26, 14, 116, 94), noise > 0.005)

    def border(mask: Mask) -> np.ndarray:
        whole = np.pad(mask.full(shape).astype(np.uint8), 1)
        return mask.full(shape) & (cv2.erode(whole, np.ones((3, 3), np.uint8), iterations=5)[1:-1, 1:-1] == 0)

    expected = np.count_nonzero(border(first) & border(second)) / np.count_nonzero(border(first) | border(second))
    assert boundary_iou(first, second, shape) == pytest.approx(expected)
    assert boundary_iou(first, first, shape) == 1
    assert boundary_iou(None, first, shape) == 0


def test_the_diameter_is_the_longest_and_in_millimetres() -> None:
    assert diameter_mm(rectangle(0, 0, 1, 100), (0.1, 0.1)) == pytest.approx(10)
    assert diameter_mm(rectangle(0, 0, 100, 1), (0.2, 0.2)) == pytest.approx(20)
    assert diameter_mm(rectangle(0, 0, 1, 1), (0.1, 0.1)) == pytest.approx(0.1)
    assert diameter_mm(rectangle(0, 0, 31, 41), (1, 1)) == pytest.approx(51)


def test_an_enlarged_box_stays_in_the_image() -> None:
    assert enlarged(Box(2, 10, 20, 30), (5, 6), (22, 100)) == Box(0, 4, 22, 36)


def test_a_small_mask_consists_only_of_border_and_a_large_one_does_not() -> None:
    shape = (1000, 1000)  # the border is 28 pixels wide
    small, large = (Mask(Box(0, 0, px, px), np.ones((px, px), dtype=np.bool_)) for px in (50, 70))
    assert all_border(small, shape)
    assert not all_border(large, shape)
