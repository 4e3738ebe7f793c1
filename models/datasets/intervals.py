"""Random splits of a set in which some images are known only to belong to one of a range of patients.

Such an image could belong to any patient of the range, so intervals of patients are held out: a range that lies inside
one interval goes with it; a range that overlaps two parts may be in either. Of many seeded random splits, the one is
taken that leaves the fewest images ambiguous and keeps each stratum's shares closest to those requested.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.datasets.case import Case

_DRAWS = 4000
_FOLD_DRAWS = 1000
_IN_DOUBT = 3.0
"""The cost of an ambiguous image, relative to an image on the wrong side."""

Interval = tuple[int, int]
"""First and last, both included, of the set's patients in their natural order."""
Touched = NDArray[np.bool_]
"""Images × parts: whether a patient that an image may belong to is in a part."""


def hold_out_intervals(cases: Sequence[Case], test: float, validation: float, seed: int) -> dict[str, frozenset[int]]:
    """Parts 0 (test), 1 (validation) and 2 (the rest): the parts that each image, by name, may be in."""
    spans, size = _spans(cases)
    strata = _strata(cases)
    shares = (test, validation, 1 - test - validation)
    draw = np.random.default_rng(seed)
    drawn = [_interval_pair(size, test, validation, draw) for _ in range(_DRAWS)]
    apart = [pair for pair in drawn if pair[0][1] < pair[1][0] or pair[1][1] < pair[0][0]]
    if not apart:  # a set of very few patients: all of it is used for training
        return {case.name: frozenset({2}) for case in cases}
    return _named(
        cases, min((_held_out(spans, pair) for pair in apart), key=lambda parts: _cost(strata, parts, shares))
    )


def fold_intervals(cases: Sequence[Case], k: int, seed: int) -> dict[str, frozenset[int]]:
    """Parts 0 to k - 1, one interval each: the parts that each image, by name, may be in."""
    spans, size = _spans(cases)
    strata = _strata(cases)
    draw = np.random.default_rng(seed)
    jitter = draw.uniform(-0.4, 0.4, (_FOLD_DRAWS, k - 1))
    drawn = np.sort(np.rint((np.arange(1, k) + jitter) * size / k).astype(np.int64), axis=1)
    shares = (1 / k,) * k
    return _named(cases, min((_folded(spans, cuts) for cuts in drawn), key=lambda parts: _cost(strata, parts, shares)))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts patient 9 before patient 10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _spans(cases: Sequence[Case]) -> tuple[NDArray[np.int64], int]:
    """Each image's first and last patient (images × 2), as positions in the sorted list of these patients; its
    length."""
    ends = [(names[0], names[-1]) for names in (sorted(case.patients, key=natural) for case in cases)]
    known = sorted({name for pair in ends for name in pair}, key=natural)
    number = {name: position for position, name in enumerate(known)}
    return np.array([(number[first], number[last]) for first, last in ends]), len(known)


def _strata(cases: Sequence[Case]) -> NDArray[np.int64]:
    """Each image's stratum, numbered in the order of first occurrence."""
    words = [f"{case.pathology} {case.label_is_fair}" for case in cases]
    numbers = {stratum: number for number, stratum in enumerate(dict.fromkeys(words))}
    return np.array([numbers[stratum] for stratum in words])


def _interval_pair(size: int, test: float, validation: float, draw: np.random.Generator) -> tuple[Interval, Interval]:
    """Two intervals of patients, each about as long as its share."""
    lengths = [max(1, round(share * size * draw.uniform(0.6, 1.4))) for share in (test, validation)]
    free = size - sum(lengths)
    first_gap, second_gap = np.sort(draw.integers(0, max(1, free + 1), size=2)).tolist()
    swapped = draw.random() < 0.5
    first, second = (lengths[1], lengths[0]) if swapped else (lengths[0], lengths[1])
    lower = _interval(size, first_gap, first)
    upper = _interval(size, second_gap + first, second)
    return (upper, lower) if swapped else (lower, upper)


def _interval(size: int, start: int, length: int) -> Interval:
    return min(start, size - 1), min(start + length - 1, size - 1)


def _held_out(spans: NDArray[np.int64], intervals: tuple[Interval, Interval]) -> Touched:
    first, last = spans.T
    touched = [(first <= high) & (low <= last) for low, high in intervals]
    inside = [(low <= first) & (last <= high) for low, high in intervals]
    return np.stack([*touched, ~np.logical_or(*inside)], axis=1)


def _folded(spans: NDArray[np.int64], cuts: NDArray[np.int64]) -> Touched:
    """Each cut is the first patient of a part."""
    first, last = np.searchsorted(cuts, spans, side="right").T
    part = np.arange(len(cuts) + 1)
    touched: Touched = (first[:, None] <= part) & (part <= last[:, None])
    return touched


def _cost(strata: NDArray[np.int64], touched: Touched, shares: Sequence[float]) -> float:
    totals = np.bincount(strata)
    sure = touched.sum(axis=1) == 1
    uneven = sum(
        float(np.abs(np.bincount(strata[sure & touched[:, part]], minlength=len(totals)) / totals - share).sum())
        for part, share in enumerate(shares)
    )
    return _IN_DOUBT * float(np.mean(~sure)) + uneven


def _named(cases: Sequence[Case], touched: Touched) -> dict[str, frozenset[int]]:
    return {case.name: frozenset(np.flatnonzero(parts).tolist()) for case, parts in zip(cases, touched, strict=True)}
