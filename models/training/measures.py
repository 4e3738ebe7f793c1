"""What held-out images say: sensitivity against false positives, area under the ROC curve, and how sure either is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.types import Box

_RESAMPLES = 2000
HIT_IOU = 0.2
"""A proposal finds the lesion it overlaps most, when intersection over union is at least this."""
FROC_POINTS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class ImageResult:
    """What a detector did on one image.

    Attributes:
        patient: images of one patient are drawn together when the bootstrap draws.
        lesions: how many there are.
        proposals: confidence and the number of the lesion found, or None for a false positive.
    """

    patient: str
    lesions: int
    proposals: tuple[tuple[float, int | None], ...]

    @cached_property
    def wrong(self) -> NDArray[np.float64]:
        """The confidences of the false positives."""
        return np.array([confidence for confidence, lesion in self.proposals if lesion is None])

    @cached_property
    def hits(self) -> NDArray[np.float64]:
        """The highest confidence of each lesion found."""
        best: dict[int, float] = {}
        for confidence, lesion in self.proposals:
            if lesion is not None:
                best[lesion] = max(confidence, best.get(lesion, 0.0))
        return np.array(list(best.values()))


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % confidence interval (percentile bootstrap over patients)."""

    value: float
    low: float
    high: float


def match(proposals: Sequence[tuple[Box, float]], lesions: Sequence[Box]) -> tuple[tuple[float, int | None], ...]:
    """Which lesion each proposal (box, confidence) finds; see `HIT_IOU`."""
    found: list[tuple[float, int | None]] = []
    for box, confidence in proposals:
        overlaps = [iou(box, lesion) for lesion in lesions]
        best = int(np.argmax(overlaps)) if overlaps else None
        found.append((confidence, best if best is not None and overlaps[best] >= HIT_IOU else None))
    return tuple(found)


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    width = min(one.right, other.right) - max(one.left, other.left)
    if height <= 0 or width <= 0:
        return 0.0
    both = height * width
    return both / (one.height * one.width + other.height * other.width - both)


def sensitivity(results: Sequence[ImageResult], false_positives: float) -> float:
    """The share of lesions found at the lowest threshold with at most so many false positives an image.

    A lesion found twice counts once, and its second proposal is no false positive. NaN where there are no lesions.
    """
    lesions = sum(result.lesions for result in results)
    if not lesions:
        return float("nan")
    hits = np.concatenate([result.hits for result in results])
    return float(np.count_nonzero(hits > threshold(results, false_positives))) / lesions


def threshold(results: Sequence[ImageResult], false_positives: float) -> float:
    """The confidence that proposals must exceed for at most so many false positives an image; 0 where all may stay."""
    wrong = np.concatenate([result.wrong for result in results])
    allowed = int(false_positives * len(results))
    return 0.0 if wrong.size <= allowed else float(np.sort(wrong)[::-1][allowed])


def froc_score(results: Sequence[ImageResult]) -> float:
    """The mean sensitivity at 1/4, 1/2, 1, 2 and 4 false positives an image."""
    return float(np.mean([sensitivity(results, point) for point in FROC_POINTS]))


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The chance that a positive scores above a negative, ties half (Mann and Whitney); NaN without one of either."""
    above = scores[positive][:, None] - scores[~positive][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0))) if above.size else float("nan")


def with_interval(patients: Sequence[str], measure: Callable[[list[int]], float], seed: int) -> Figure:
    """A measure of all items with its 95 % interval: whole patients drawn with replacement, 2,000 times.

    Args:
        patients: the patient of each item.
        measure: the value of the items with these indices; draws where it is NaN are passed over.
        seed: of the draws.
    """
    groups: dict[str, list[int]] = {}
    for index, patient in enumerate(patients):
        groups.setdefault(patient, []).append(index)
    members, draw = list(groups.values()), np.random.default_rng(seed)
    values = []
    for _ in range(_RESAMPLES):
        chosen = draw.integers(0, len(members), len(members)).tolist()
        values.append(measure([index for group in chosen for index in members[group]]))
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return Figure(measure(list(range(len(patients)))), float(low), float(high))
