"""Overlap of two outlines: pixel counts, from which Dice, IoU and the pixel rates follow, and the boundary IoU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from models.types.region import Box, Mask

_BOUNDARY = 0.02
"""Width of the boundary as a share of the image's diagonal (Cheng et al., CVPR 2021, section 4; HQ-SAM uses the
same)."""


@dataclass(frozen=True)
class Overlap:
    """A drawn outline against the true one: numbers of pixels of the source image.

    Attributes:
        both: in both outlines.
        drawn: in the drawn one.
        true: in the true one.
        window: in the window in which false positives are counted.
        extra: only in the drawn one, and in the window.
        boundary_iou: see `boundary_iou`; None if it was not computed.
    """

    both: int
    drawn: int
    true: int
    window: int
    extra: int
    boundary_iou: float | None = None

    @property
    def dice(self) -> float:
        """2·|A∩B| / (|A|+|B|); 1 if both are empty."""
        return 2 * self.both / (self.drawn + self.true) if self.drawn + self.true else 1.0

    @property
    def iou(self) -> float:
        """|A∩B| / |A∪B|; 1 if both are empty."""
        union = self.drawn + self.true - self.both
        return self.both / union if union else 1.0

    @property
    def tpr(self) -> float:
        """True-positive rate: the share of the true pixels that were drawn; NaN if there are none."""
        return self.both / self.true if self.true else float("nan")

    @property
    def fpr(self) -> float:
        """False-positive rate: the share of the window's other pixels that were drawn; NaN if the lesion fills the
        window."""
        rest = self.window - self.true
        return self.extra / rest if rest else float("nan")

    @property
    def accuracy(self) -> float:
        """The share of the window's pixels that are classified correctly."""
        return 1 - (self.true - self.both + self.extra) / self.window


def overlap(drawn: Sequence[Mask], true: Sequence[Mask], shape: tuple[int, int], window: Box | None = None) -> Overlap:
    """Counts the pixels of the union of the drawn masks against the union of the true ones.

    Args:
        shape: rows, columns of the image.
        window: must hold all true pixels; None: the whole image.
    """
    ours, theirs = _union(drawn, shape), _union(true, shape)
    seen = window or Box(0, 0, *shape)
    return Overlap(
        both=int(np.count_nonzero(ours & theirs)),
        drawn=int(np.count_nonzero(ours)),
        true=int(np.count_nonzero(theirs)),
        window=seen.height * seen.width,
        extra=int(np.count_nonzero((ours & ~theirs)[seen.slices])),
    )


def boundary_iou(drawn: Mask | None, true: Mask, shape: tuple[int, int]) -> float:
    """Boundary IoU of Cheng et al. 2021: the IoU of the two masks' inner borders, each 2 % of the image's diagonal
    wide.

    A mask narrower than twice its border consists only of border; the image's edge counts as an edge of the mask.
    """
    if drawn is None:
        return 0.0
    width = _border_px(shape)
    return overlap([_border(drawn, width)], [_border(true, width)], shape).iou


def all_border(mask: Mask, shape: tuple[int, int]) -> bool:
    """Whether a mask consists only of border: its boundary IoU is then its IoU with the other mask's border."""
    return bool((_border(mask, _border_px(shape)).crop == mask.crop).all())


def _border_px(shape: tuple[int, int]) -> int:
    return max(1, round(_BOUNDARY * float(np.hypot(*shape))))


def enlarged(box: Box, by_px: tuple[float, float], shape: tuple[int, int]) -> Box:
    """A box enlarged by `by_px` (rows, columns) on each side, cut to the image."""
    rows, columns = round(by_px[0]), round(by_px[1])
    return Box(
        max(0, box.top - rows),
        max(0, box.left - columns),
        min(shape[0], box.bottom + rows),
        min(shape[1], box.right + columns),
    )


def diameter_mm(mask: Mask, spacing_mm: tuple[float, float]) -> float:
    """The greatest distance between two of the mask's pixels, from outer edge to outer edge, in mm."""
    points = np.argwhere(mask.crop) * np.array(spacing_mm)
    pixel = float(np.mean(spacing_mm))
    if len(points) < 2:
        return pixel
    try:
        points = points[ConvexHull(points).vertices]
    except QhullError:  # all points are on one line: its ends have the greatest distance
        points = points[[0, -1]]
    return float(pdist(points).max()) + pixel


def _border(mask: Mask, width: int) -> Mask:
    padded = np.pad(mask.crop.astype(np.uint8), 1)
    # n erosions by a 3×3 square leave the pixels with a chessboard distance of more than n from the outside.
    depth = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1]
    return Mask(mask.box, np.asarray(mask.crop & (depth <= width)))


def _union(masks: Sequence[Mask], shape: tuple[int, int]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, dtype=np.bool_)
    for mask in masks:
        whole[mask.box.slices] |= mask.crop
    return whole
