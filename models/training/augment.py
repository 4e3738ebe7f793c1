"""Pictures as other scanners, other breasts and other hands would have made them. Every draw comes from `draw`.

`strength` scales how far a picture is changed: 0 not at all, 1 as far as the numbers below say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.scanners import relit

_CENTRE_SHIFT = 0.12
_ZOOM = 1.4
"""From 1/1.4 to 1.4."""
_TURN_DEGREES = 15.0
_MIRRORED = (0.5, 0.3)
"""Chance of left–right and of top–bottom."""
_ERASED = 0.3
"""Chance that patches of a picture are painted over."""
_PATCHES = 3
_LARGEST_PATCH = 0.15
_WITH_LESION = 0.85
"""Share of windows onto a picture with lesions that are laid round one of them."""
_OFF_CENTRE = 0.3
"""How far from a window's middle that lesion's middle lies, of the window's width and height."""
_LEAST_VISIBLE = 0.35
"""A lesion of which less than this share of its box stays in the picture is no longer one to be found."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame with its lesions.

    Attributes:
        pixels: rows × columns, float32 in 0..1.
        outlines: one array a lesion, points × 2 (x, y), float32, in frame pixels.
        kinds: the class number of each.
    """

    pixels: NDArray[np.float32]
    outlines: tuple[NDArray[np.float32], ...]
    kinds: tuple[int, ...]

    def boxes(self) -> NDArray[np.float32]:
        """Left, top, right, bottom of each lesion, cut to the picture: lesions × 4, float32."""
        corners = [(*points.min(axis=0), *(points.max(axis=0) + 1)) for points in self.outlines]
        most = np.tile(self.size, 2).astype(np.float32)
        return np.clip(np.array(corners, dtype=np.float32).reshape(-1, 4), 0, most)

    @property
    def size(self) -> NDArray[np.int64]:
        """Columns and rows, as x and y go."""
        return np.array(self.pixels.shape[::-1])


def changed(picture: Picture, draw: np.random.Generator, strength: float) -> Picture:
    """The picture, or the mosaic, in other light and with patches painted over."""
    lit = Picture(relit(picture.pixels, draw, strength), picture.outlines, picture.kinds)
    return erased(lit, draw) if draw.random() < _ERASED * strength else lit


def moved(
    picture: Picture, draw: np.random.Generator, strength: float = 1.0, size: tuple[int, int] | None = None
) -> Picture:
    """Mirrored, turned, zoomed and shifted, lesions with it.

    Args:
        picture: any.
        draw: where every number comes from.
        strength: how far.
        size: columns and rows of what is given back, a window onto the picture; None: the picture's own.
    """
    window = picture.size if size is None else np.array(size)
    turn = np.deg2rad(_TURN_DEGREES) * strength * draw.uniform(-1, 1)
    zoom = _ZOOM ** (strength * draw.uniform(-1, 1))
    mirror = np.diag(np.where(draw.random(2) < np.multiply(_MIRRORED, min(1.0, strength)), -1.0, 1.0))
    matrix = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ mirror
    middle = (picture.size - 1) / 2 if size is None else _looked_at(picture, window / zoom, draw)
    goal = (window - 1) / 2 + _CENTRE_SHIFT * strength * draw.uniform(-1, 1, 2) * window
    return _warped(picture, np.column_stack((matrix, goal - matrix @ middle)), window)


def _looked_at(picture: Picture, reach: NDArray[np.float64], draw: np.random.Generator) -> NDArray[np.float64]:
    """The place (x, y) of a picture that the middle of a window with this reach is put on.

    Where the window holds the picture's whole width or height, its middle; else by chance, and mostly so that a lesion
    drawn by chance lies in the window.
    """
    low, high = np.minimum(reach, picture.size) / 2, picture.size - np.minimum(reach, picture.size) / 2
    if picture.outlines and draw.random() < _WITH_LESION:
        points = picture.outlines[int(draw.integers(len(picture.outlines)))]
        lesion = (points.min(axis=0) + points.max(axis=0)) / 2
        low, high = (np.clip(side, low, high) for side in (lesion - _OFF_CENTRE * reach, lesion + _OFF_CENTRE * reach))
    return np.asarray(draw.uniform(low, high) - 0.5)


def mosaic(pictures: Sequence[Picture], draw: np.random.Generator) -> Picture:
    """Windows onto four pictures, made smaller, side by side (Mosaic, as in YOLOv4 and Yolo-MLSAM section 3.1)."""
    size = pictures[0].size
    half = size // 2
    whole = np.zeros_like(pictures[0].pixels)
    outlines: list[NDArray[np.float32]] = []
    kinds: list[int] = []
    for place, picture in enumerate(pictures[:4]):
        corner = half * np.array((place % 2, place // 2))
        zoom = draw.uniform(0.5, 0.8)
        left, top = -(size * zoom - half) * draw.random(2)
        part = _warped(picture, np.array([[zoom, 0, left], [0, zoom, top]]), half)
        whole[corner[1] : corner[1] + half[1], corner[0] : corner[0] + half[0]] = part.pixels
        outlines.extend((points + corner).astype(np.float32) for points in part.outlines)
        kinds.extend(part.kinds)
    return Picture(whole, tuple(outlines), tuple(kinds))


def erased(picture: Picture, draw: np.random.Generator) -> Picture:
    """One to three patches painted with one grey each, as labels, markers and clips cover tissue; never on a lesion."""
    pixels, boxes = picture.pixels.copy(), picture.boxes()
    for _ in range(int(draw.integers(1, _PATCHES + 1))):
        width, height = 1 + (draw.uniform(0.02, _LARGEST_PATCH, 2) * picture.size).astype(int)
        left, top = (draw.random(2) * (picture.size - (width, height))).astype(int)
        grey = np.float32(draw.random())
        clear = (boxes[:, 0] >= left + width) | (boxes[:, 2] <= left) | (boxes[:, 1] >= top + height)
        if bool(np.all(clear | (boxes[:, 3] <= top))):
            pixels[top : top + height, left : left + width] = grey
    return Picture(pixels, picture.outlines, picture.kinds)


def _warped(picture: Picture, matrix: NDArray[np.float64], size: NDArray[np.int64] | None = None) -> Picture:
    size = picture.size if size is None else size
    pixels = cv2.warpAffine(picture.pixels, matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR)
    outlines, kinds = [], []
    for points, kind in zip(picture.outlines, picture.kinds, strict=True):
        there = points @ matrix[:, :2].T + matrix[:, 2]
        if _visible_share(there, size) >= _LEAST_VISIBLE:
            outlines.append(there.clip(0, size - 1).astype(np.float32))
            kinds.append(kind)
    return Picture(pixels.astype(np.float32), tuple(outlines), tuple(kinds))


def _visible_share(points: NDArray[np.float64], size: NDArray[np.int64]) -> float:
    low, high = points.min(axis=0), points.max(axis=0) + 1
    inside = np.clip(high, 0, size) - np.clip(low, 0, size)
    return float(np.prod(inside) / np.prod(high - low))
