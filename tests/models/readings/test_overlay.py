"""The overlay shows findings at their places, the models, and the intended use."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.readings.overlay import draw_overlay
from models.types.mammogram import Mammogram
from models.types.reading import BundleId, Finding, FindingKind, ImageReading
from models.types.region import Box, Mask

IMAGE = Mammogram(np.full((3200, 1600), 0.25, dtype=np.float32))


def _reading(*findings: Finding) -> ImageReading:
    return ImageReading(findings, 0.4, IMAGE.shape, BundleId("research-default", "0.1.0"))


def _finding(kind: FindingKind, box: Box) -> Finding:
    return Finding(kind, box, Mask(box, np.ones((box.height, box.width), dtype=np.bool_)), 0.5, 0.876)


def _pixels(png: bytes) -> NDArray[np.uint8]:
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    return np.asarray(picture)


def _of_colour(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((pixels == colour).all(axis=2))


def test_an_outline_lies_at_the_lesion() -> None:
    pixels = _pixels(draw_overlay(IMAGE, _reading(_finding(FindingKind.MASS, Box(1000, 400, 1200, 800)))))
    rows, columns = np.nonzero(_of_colour(pixels[500:1600], (255, 176, 0)))
    assert abs(rows.min() - 0) <= 2
    assert abs(rows.max() - 99) <= 2
    assert abs(columns.min() - 200) <= 2
    assert abs(columns.max() - 399) <= 2
    assert tuple(pixels[550, 300]) == (64, 64, 64)


def test_each_kind_of_finding_has_its_own_colour() -> None:
    pixels = _pixels(draw_overlay(IMAGE, _reading(_finding(FindingKind.CALCIFICATION, Box(0, 0, 50, 60)))))
    assert _of_colour(pixels, (0, 200, 255)).any()
    assert not _of_colour(pixels, (255, 176, 0)).any()


def test_a_large_mammogram_is_scaled_down_to_a_common_picture_size() -> None:
    pixels = _pixels(draw_overlay(IMAGE, _reading()))
    assert pixels.shape[1] == 800
    assert 1600 < pixels.shape[0] < 1700
    assert pixels[1602:].max() > 200  # the footer's words


def test_a_small_image_is_not_enlarged() -> None:
    image = Mammogram(np.zeros((120, 90), dtype=np.float32))
    pixels = _pixels(draw_overlay(image, replace(_reading(), shape=image.shape)))
    assert 120 < pixels.shape[0] < 160


def test_a_reading_of_another_image_is_refused() -> None:
    with pytest.raises(ValueError, match="3200"):
        draw_overlay(Mammogram(np.zeros((10, 10), dtype=np.float32)), _reading())
