"""Coordinates in a frame map to the right place in the image, and greys are normalised."""

from __future__ import annotations

import numpy as np
import pytest

from models.framing import frame
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
