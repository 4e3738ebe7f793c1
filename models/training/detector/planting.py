"""Copy-paste augmentation (Ghiasi et al., CVPR 2021): copies an annotated lesion of one breast into another.

With a few hundred images a detector overfits to the individual breasts; pasted lesions make a lesion independent of its
breast.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.augment import Picture

_TRIES = 8
_LARGEST = 0.5
"""Share of the picture's width: larger lesions fill most of the breast and are not pasted."""
_ZOOM = 1.3
_RIM = 0.15
"""Share of a lesion's length: the width of the rim over which it is blended into the new background."""
_BREAST = 0.08
"""A smoothed grey value from which on a pixel counts as breast, and not as air."""
_FAINTEST = 0.8
"""The least weight of the pasted lesion's grey values against the background's."""


def planted(picture: Picture, donor: Picture, draw: np.random.Generator) -> Picture:
    """The picture with a lesion of the donor pasted into its breast: rotated, mirrored, scaled, its rim blended.

    The lesion keeps its contrast to its own surroundings; the background is the new breast's. If no place is found that
    is inside the breast and free of lesions, the picture is returned unchanged.

    Args:
        picture: any.
        donor: a picture with at least one lesion.
        draw: the source of all random numbers.
    """
    number = int(draw.integers(len(donor.outlines)))
    points = donor.outlines[number]
    length = float(np.ptp(points, axis=0).max()) + 1
    if length > _LARGEST * picture.size[0]:
        return picture
    lesion = np.zeros(donor.pixels.shape, dtype=np.uint8)
    cv2.fillConvexPoly(lesion, cv2.convexHull(points.astype(np.int32)), 1)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    breast = (cv2.GaussianBlur(picture.pixels, (0, 0), 3) > _BREAST).astype(np.uint8)
    depth = cv2.distanceTransform(np.pad(breast, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, columns = np.nonzero(depth > 0.35 * length)
    if not rows.size:
        return picture
    for _ in range(_TRIES):
        at = int(draw.integers(rows.size))
        there = _placed(centre, np.array((columns[at], rows[at])), draw)
        outline = (points @ there[:, :2].T + there[:, 2]).astype(np.float32)
        if _is_free(outline, picture):
            planting = _blended(picture, donor, lesion, there, length, draw)
            if planting is not None:
                return Picture(planting, (*picture.outlines, outline), (*picture.kinds, donor.kinds[number]))
    return picture


def _placed(centre: NDArray[np.float32], goal: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.float64]:
    """An affine transform (2 × 3) that maps `centre` to `goal`, with random rotation, mirroring and scale."""
    turn, zoom = draw.uniform(-np.pi, np.pi), _ZOOM ** draw.uniform(-1, 1)
    mirror = np.diag((-1.0 if draw.random() < 0.5 else 1.0, 1.0))
    matrix = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ mirror
    return np.column_stack((matrix, goal - matrix @ centre))


def _is_free(outline: NDArray[np.float32], picture: Picture) -> bool:
    """Whether the outline lies within the picture and its box overlaps no other lesion's."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    if (low < 1).any() or (high > picture.size - 2).any():
        return False
    return not any(((low < other.max(axis=0)) & (high > other.min(axis=0))).all() for other in picture.outlines)


def _blended(
    picture: Picture,
    donor: Picture,
    lesion: NDArray[np.uint8],
    there: NDArray[np.float64],
    length: float,
    draw: np.random.Generator,
) -> NDArray[np.float32] | None:
    """The picture's pixels with the lesion pasted in; None if the lesion's surroundings are not breast."""
    size = (int(picture.size[0]), int(picture.size[1]))
    length *= float(np.sqrt(abs(np.linalg.det(there[:, :2]))))
    drawn = cv2.warpAffine(lesion, there, size, flags=cv2.INTER_NEAREST)
    moved = cv2.warpAffine(donor.pixels, there, size, flags=cv2.INTER_LINEAR)
    rim = max(3, int(length * _RIM))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    ring = (cv2.dilate(drawn, disc) > 0) & (drawn == 0)
    if np.mean(picture.pixels[ring] > _BREAST / 2) < 0.9:
        return None
    ground = cv2.GaussianBlur(picture.pixels, (0, 0), max(2.0, length / 4))
    lit = np.clip(moved - moved[ring].mean() + ground, 0, 1)
    wide = cv2.dilate(drawn, np.ones((rim, rim), dtype=np.uint8)).astype(np.float32)
    share = draw.uniform(_FAINTEST, 1) * cv2.GaussianBlur(wide, (0, 0), rim / 2)
    return np.asarray(picture.pixels * (1 - share) + lit * share, dtype=np.float32).clip(0, 1)
