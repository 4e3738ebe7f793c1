"""Pictures as other scanners, other breasts and other hands would have made them. Every draw comes from `draw`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_CENTRE_SHIFT = 0.12
_ZOOM = (0.75, 1.35)
_TURN_DEGREES = 12.0
_LEAST_VISIBLE = 0.35
"""A lesion of which less than this share of its box stays in the picture is no longer one to be found."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame with its lesions.

    Attributes:
        pixels: side × side, float32 in 0..1.
        outlines: one array a lesion, points × 2 (x, y), float32, in frame pixels.
        kinds: the class number of each.
    """

    pixels: NDArray[np.float32]
    outlines: tuple[NDArray[np.float32], ...]
    kinds: tuple[int, ...]

    def boxes(self) -> NDArray[np.float32]:
        """Left, top, right, bottom of each lesion, cut to the picture: lesions × 4, float32."""
        side = self.pixels.shape[0]
        corners = [(*points.min(axis=0), *(points.max(axis=0) + 1)) for points in self.outlines]
        return np.clip(np.array(corners, dtype=np.float32).reshape(-1, 4), 0, side)


def moved(picture: Picture, draw: np.random.Generator) -> Picture:
    """Mirrored, turned, zoomed and shifted, lesions with it."""
    side = picture.pixels.shape[0]
    middle = (side - 1) / 2
    turn = np.deg2rad(draw.uniform(-_TURN_DEGREES, _TURN_DEGREES))
    zoom = draw.uniform(*_ZOOM)
    mirror = np.diag(np.where(draw.random(2) < (0.5, 0.3), -1.0, 1.0))
    matrix = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ mirror
    shift = middle + draw.uniform(-_CENTRE_SHIFT, _CENTRE_SHIFT, 2) * side - matrix @ (middle, middle)
    return _warped(picture, np.column_stack((matrix, shift)))


def mosaic(pictures: Sequence[Picture], draw: np.random.Generator) -> Picture:
    """Windows onto four pictures, made smaller, side by side (Mosaic, as in YOLOv4 and Yolo-MLSAM section 3.1)."""
    side = pictures[0].pixels.shape[0]
    half = side // 2
    whole = np.zeros_like(pictures[0].pixels)
    outlines: list[NDArray[np.float32]] = []
    kinds: list[int] = []
    for place, picture in enumerate(pictures[:4]):
        corner = half * np.array((place % 2, place // 2))
        zoom = draw.uniform(0.5, 0.8)
        left, top = -(side * zoom - half) * draw.random(2)
        part = _warped(picture, np.array([[zoom, 0, left], [0, zoom, top]]), half)
        whole[corner[1] : corner[1] + half, corner[0] : corner[0] + half] = part.pixels
        outlines.extend((points + corner).astype(np.float32) for points in part.outlines)
        kinds.extend(part.kinds)
    return Picture(whole, tuple(outlines), tuple(kinds))


def relit(pixels: NDArray[np.float32], draw: np.random.Generator) -> NDArray[np.float32]:
    """Another scanner: gamma, contrast, brightness, sharpness, coarseness, JPEG's loss and noise. Shape kept."""
    pixels = np.power(pixels, np.float32(np.exp(draw.uniform(-0.5, 0.5))))
    pixels = (pixels - 0.5) * draw.uniform(0.75, 1.3) + 0.5 + draw.uniform(-0.08, 0.08)
    if draw.random() < 0.3:
        pixels = _coarser(pixels, draw.uniform(0.4, 0.9))
    if draw.random() < 0.3:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), draw.uniform(0.4, 1.2)), dtype=np.float32)
    if draw.random() < 0.4:
        pixels = _through_jpeg(pixels, int(draw.integers(55, 95)))
    if draw.random() < 0.5:
        spread = np.float32(draw.uniform(0.005, 0.03))
        pixels = pixels + spread * draw.standard_normal(pixels.shape, dtype=np.float32)
    return np.clip(pixels, 0, 1).astype(np.float32)


def _warped(picture: Picture, matrix: NDArray[np.float64], side: int | None = None) -> Picture:
    side = side or picture.pixels.shape[0]
    pixels = cv2.warpAffine(picture.pixels, matrix, (side, side), flags=cv2.INTER_LINEAR)
    outlines, kinds = [], []
    for points, kind in zip(picture.outlines, picture.kinds, strict=True):
        there = points @ matrix[:, :2].T + matrix[:, 2]
        if _visible_share(there, side) >= _LEAST_VISIBLE:
            outlines.append(there.astype(np.float32).clip(0, side - 1))
            kinds.append(kind)
    return Picture(pixels.astype(np.float32), tuple(outlines), tuple(kinds))


def _visible_share(points: NDArray[np.float64], side: int) -> float:
    low, high = points.min(axis=0), points.max(axis=0) + 1
    inside = np.clip(high, 0, side) - np.clip(low, 0, side)
    return float(np.prod(inside) / np.prod(high - low))


def _coarser(pixels: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    rows, columns = pixels.shape
    small = cv2.resize(pixels, (round(columns * share), round(rows * share)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _through_jpeg(pixels: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    levels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), dtype=np.float32) / np.float32(255)
