"""Measures on held-out images: FROC (sensitivity against false positives), area under the ROC curve, and their
confidence intervals."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.types.region import Box

RESAMPLES = 2000
LEAST_PATIENTS = 5
"""A figure that depends on fewer patients has no interval: they are too few to resample."""
HIT_IOU = 0.2
"""A proposal finds the lesion it overlaps most, if the intersection over union is at least this."""
FROC_POINTS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""False positives per image."""


@dataclass(frozen=True)
class ImageResult:
    """A detector's result on one image.

    Attributes:
        patient: the bootstrap resamples the images of one patient together.
        lesions: the number of true lesions.
        proposals: confidence, and the index of the lesion found, or None for a false positive.
    """

    patient: str
    lesions: int
    proposals: tuple[tuple[float, int | None], ...]

    @cached_property
    def wrong(self) -> NDArray[np.float64]:
        """The confidences of the false positives."""
        return np.array([confidence for confidence, lesion in self.proposals if lesion is None], dtype=np.float64)

    @cached_property
    def hits(self) -> NDArray[np.float64]:
        """The highest confidence of each lesion found."""
        best: dict[int, float] = {}
        for confidence, lesion in self.proposals:
            if lesion is not None:
                best[lesion] = max(confidence, best.get(lesion, 0.0))
        return np.array(list(best.values()), dtype=np.float64)


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % confidence interval (percentile bootstrap over patients).

    Attributes:
        low, high: NaN if there is no interval: it depends on too few patients, or is not defined in any draw.
        undefined: the number of draws in which it was not defined; they are ignored.
    """

    value: float
    low: float
    high: float
    undefined: int = 0

    @property
    def bare(self) -> bool:
        """Whether it has no interval."""
        return math.isnan(self.low)


def match(
    proposals: Sequence[tuple[Box, float]], lesions: Sequence[Box], least: float = HIT_IOU
) -> tuple[tuple[float, int | None], ...]:
    """The confidence of each proposal (box, confidence) and the index of the lesion that it finds: the one it overlaps
    most, with an IoU of at least `least`; None if it finds none."""
    found: list[tuple[float, int | None]] = []
    for box, confidence in proposals:
        overlaps = [iou(box, lesion) for lesion in lesions]
        best = int(np.argmax(overlaps)) if overlaps else None
        found.append((confidence, best if best is not None and overlaps[best] >= least else None))
    return tuple(found)


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    width = min(first.right, second.right) - max(first.left, second.left)
    if height <= 0 or width <= 0:
        return 0.0
    both = height * width
    return both / (first.height * first.width + second.height * second.width - both)


def sensitivity(results: Sequence[ImageResult], false_positives: float) -> float:
    """The share of lesions found at the lowest threshold with at most this many false positives per image.

    A lesion found twice counts once, and its second proposal is not a false positive. NaN if there are no lesions.
    """
    return sensitivities(results, (false_positives,))[0]


def sensitivities(results: Sequence[ImageResult], points: Sequence[float]) -> list[float]:
    """`sensitivity` at several points of the free-response ROC (Bunch et al., Proc. SPIE 127, 1977)."""
    lesions = sum(result.lesions for result in results)
    if not lesions:
        return [float("nan")] * len(points)
    hits = np.concatenate([result.hits for result in results])
    wrong = _descending([result.wrong for result in results])
    return [float(np.count_nonzero(hits > _least(wrong, int(point * len(results))))) / lesions for point in points]


def threshold(results: Sequence[ImageResult], false_positives: float) -> float:
    """The confidence that proposals must exceed for at most this many false positives per image; 0 if all may stay."""
    return _least(_descending([result.wrong for result in results]), int(false_positives * len(results)))


def froc_score(results: Sequence[ImageResult]) -> float:
    """The mean sensitivity at 1/4, 1/2, 1, 2 and 4 false positives per image."""
    return float(np.mean(sensitivities(results, FROC_POINTS)))


def froc_curve(results: Sequence[ImageResult]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The whole FROC curve: false positives per image, and the share of lesions found at each; neither falls.

    It begins at 0 false positives and ends with all proposals. Empty if there are no lesions.
    """
    lesions = sum(result.lesions for result in results)
    if not lesions:
        return np.empty(0), np.empty(0)
    wrong = _descending([result.wrong for result in results])
    hits = np.concatenate([result.hits for result in results])
    thresholds = np.append(wrong, 0.0)  # above the n-th false positive there are n − 1 of them
    found = np.array([np.count_nonzero(hits > threshold) for threshold in thresholds])
    return np.arange(thresholds.size) / len(results), found / lesions


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the share of pairs whose positive has the higher score, ties count half (Mann and
    Whitney 1947); NaN without a positive or without a negative. Not scikit-learn's: that takes 2 ms, 2,000 times per
    figure."""
    others, ours = np.sort(scores[~positive]), scores[positive]
    if not others.size or not ours.size:
        return float("nan")
    below = np.searchsorted(others, ours, "left").sum() + np.searchsorted(others, ours, "right").sum()
    return float(below) / (2 * others.size * ours.size)


def auc_within(scores: NDArray[np.float64], positive: NDArray[np.bool_], groups: NDArray[np.str_]) -> float:
    """The same share among the pairs of one group: the areas of the groups, weighted by their numbers of pairs; NaN
    without such a pair. What only tells groups apart has 0.5."""
    above, pairs = 0.0, 0
    for group in np.unique(groups):
        own = groups == group
        count = int(np.count_nonzero(positive[own])) * int(np.count_nonzero(~positive[own]))
        if count:
            above, pairs = above + count * auc(scores[own], positive[own]), pairs + count
    return above / pairs if pairs else float("nan")


def with_interval(
    patients: Sequence[str], measure: Callable[[list[int]], float], seed: int, resamples: int = RESAMPLES
) -> Figure:
    """A measure of all items with its 95 % interval; see `with_intervals`."""
    return with_intervals(patients, lambda at: (measure(at),), seed, resamples)[0]


def with_intervals(
    patients: Sequence[str],
    measure: Callable[[list[int]], Sequence[float]],
    seed: int,
    resamples: int = RESAMPLES,
) -> list[Figure]:
    """Measures of all items, each with its 95 % interval by bootstrap: patients are resampled with replacement.

    Args:
        patients: the patient of each item; at least one.
        measure: takes indices of items and returns their values. Draws in which a value is NaN are ignored for it. The
            interval is NaN if the value is NaN in every draw, or if it depends on fewer than LEAST_PATIENTS patients
            (see `_enough_patients`).
        seed: of the draws.
        resamples: the number of draws.
    """
    groups: dict[str, list[int]] = {}
    for index, patient in enumerate(patients):
        groups.setdefault(patient, []).append(index)
    members = list(groups.values())
    whole = measure(list(range(len(patients))))
    enough = _enough_patients(members, measure, len(whole))
    if not any(enough):
        return [Figure(float(value), math.nan, math.nan) for value in whole]
    draw = np.random.default_rng(seed)
    samples: list[Any] = []
    for _ in range(resamples):
        chosen = draw.integers(0, len(members), len(members)).tolist()
        samples.append(measure([index for group in chosen for index in members[group]]))
    return [
        Figure(float(value), *_interval(column), int(np.isnan(column).sum()))
        if has_interval
        else Figure(float(value), math.nan, math.nan)
        for value, has_interval, column in zip(whole, enough, np.array(samples, dtype=np.float64).T, strict=True)
    ]


def _enough_patients(
    members: Sequence[Sequence[int]], measure: Callable[[list[int]], Sequence[float]], width: int
) -> list[bool]:
    """Whether each of `width` values depends on at least LEAST_PATIENTS: the fewest without whom it is not defined.

    For a mean these are all patients with items of its kind. For a value that needs two kinds of items, such as the
    area under the ROC curve, they are the patients with both kinds, plus the smaller of the two groups with only one
    kind. For a value that needs more than two patients, such as a correlation, they are all patients.

    Args:
        members: the indices of each patient's items.
        measure: see `with_intervals`.
    """
    if len(members) < LEAST_PATIENTS:
        return [False] * width

    def defined(some: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
        return ~np.isnan(np.array(measure([index for items in some for index in items]), dtype=np.float64))

    alone = np.zeros((len(members), width), dtype=np.bool_)
    for number, member in enumerate(members):
        alone[number] = defined([member])
        if (alone.sum(axis=0) >= LEAST_PATIENTS).all():
            return [True] * width
    return [
        int(alone[:, column].sum()) + _of_two_sorts(rest, lambda some, column=column: bool(defined(some)[column]))  # type: ignore[misc]
        >= LEAST_PATIENTS
        for column in range(width)
        for rest in [[items for items, known in zip(members, alone[:, column], strict=True) if not known]]
    ]


def _of_two_sorts(patients: Sequence[Sequence[int]], defined: Callable[[Sequence[Sequence[int]]], bool]) -> int:
    """The smallest number of these patients without whom a value is not defined, if none of them defines it alone;
    counted only up to LEAST_PATIENTS."""
    if not patients or not defined(patients):
        return 0
    # The first patient with whom the value is defined has one kind of items; patients who define it with this one have
    # the other kind.
    last = patients[bisect_left(range(1, len(patients) + 1), True, key=lambda count: defined(patients[:count]))]
    others = list(islice((items for items in patients if defined([last, items])), LEAST_PATIENTS))
    if not others:
        return len(patients)
    same_kind = islice((items for items in patients if defined([others[0], items])), LEAST_PATIENTS)
    return min(len(others), sum(1 for _ in same_kind))


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)


def _descending(confidences: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.sort(np.concatenate(confidences))[::-1] if confidences else np.empty(0)


def _least(descending: NDArray[np.float64], allowed: int) -> float:
    """The lowest value that at most `allowed` of these exceed; 0 if all may stay."""
    return 0.0 if descending.size <= allowed else float(descending[allowed])
