"""Images and masks that are not DICOM: JPEG and PNG files, and regions given as polygons, boxes or ellipses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.case import DatasetError
from models.types.region import Box, Mask

_DRAWN = 128
"""Masks are JPEG or PNG: a pixel of at least this grey value (0 to 255) belongs to a region."""


def read_grey(path: Path) -> NDArray[np.float32]:
    """An image file, rows × columns, float32 in 0..1.

    Raises:
        DatasetError: the file is not an image.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise DatasetError(f"{path} cannot be read as an image. Fetch it again.")
    return np.divide(pixels, 255, dtype=np.float32)


def read_drawn(path: Path, shape: tuple[int, int], image: Path) -> NDArray[np.bool_]:
    """A mask file, which must have its image's shape.

    Raises:
        DatasetError: the file is not an image, or has another shape than `image`.
    """
    drawn = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if drawn is None or drawn.shape != shape:
        raise DatasetError(f"{path} is not a mask of the size of {image.name}. Fetch both again.")
    return np.greater_equal(drawn, _DRAWN)


def parts_of(drawn: NDArray[np.bool_]) -> list[Mask]:
    """The connected components of a mask."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(drawn.astype(np.uint8))
    found = []
    for part, (left, top, width, height, _) in enumerate(stats[1:].tolist(), start=1):
        box = Box(top, left, top + height, left + width)
        found.append(Mask(box, labels[box.slices] == part))
    return found


def box_mask(edges: Sequence[float], shape: tuple[int, int]) -> Mask | None:
    """A box (left, top, right, bottom), cut to an image of this shape; None if it lies outside."""
    left, top, right, bottom = (round(edge) for edge in edges)
    top, left, bottom, right = max(0, top), max(0, left), min(shape[0], bottom), min(shape[1], right)
    if top >= bottom or left >= right:
        return None
    box = Box(top, left, bottom, right)
    return Mask(box, np.ones((box.height, box.width), dtype=np.bool_))


def polygon_mask(xy: Sequence[tuple[float, float]], shape: tuple[int, int]) -> Mask | None:
    """The pixels of a closed polygon (its edge included), cut to an image of this shape; None if it lies outside."""
    points = np.rint(np.array(xy, dtype=np.float64).reshape(-1, 1, 2)).astype(np.int32)
    return _in_image(points, shape)


def ellipse_mask(
    centre: tuple[float, float], radii: tuple[float, float], radians: float, shape: tuple[int, int]
) -> Mask | None:
    """The pixels of an ellipse: centre and radii in x, y, rotated clockwise by `radians`; None if it lies outside."""
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    x, y = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cosine, sine = np.cos(radians), np.sin(radians)
    xy = np.stack([centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine], axis=1)
    return _in_image(np.rint(xy).astype(np.int32).reshape(-1, 1, 2), shape)


def _in_image(points: NDArray[np.int32], shape: tuple[int, int]) -> Mask | None:
    drawn = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(drawn, [points], 1)
    return Mask.from_full(drawn.astype(np.bool_))
