"""Draws of a set some of whose images are known only to be of one of a range of patients.

Such an image could be any of theirs, so intervals of patients are held out: a range that lies in one interval goes with
it, one that reaches into two may stand in either. Of many seeded draws the one is taken that leaves least in doubt and
keeps the shares of each stratum closest to what was asked for.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

import numpy as np

from models.datasets.case import Case

_DRAWS = 4000
_FOLD_DRAWS = 1000
_IN_DOUBT = 3.0
"""An image in doubt costs this many times what it costs on the wrong side."""

Interval = tuple[int, int]
"""First and last, both included, of the set's patients in their natural order."""


def hold_out_intervals(cases: Sequence[Case], test: float, validation: float, seed: int) -> dict[str, frozenset[int]]:
    """Parts 0 (test), 1 (validation) and 2 (the rest): the parts that each image, by name, may stand in."""
    spans, size = _spans(cases)
    strata = _strata(cases)
    shares = (test, validation, 1 - test - validation)
    draw = np.random.default_rng(seed)
    drawn = [_interval_pair(size, test, validation, draw) for _ in range(_DRAWS)]
    apart = [pair for pair in drawn if not _overlap(*pair)]
    if not apart:  # a set of a few patients: all of it is trained on
        return {case.name: frozenset({2}) for case in cases}
    best = min(apart, key=lambda pair: _cost(strata, _held_out(spans, pair), shares))
    return {case.name: parts for case, parts in zip(cases, _held_out(spans, best), strict=True)}


def fold_intervals(cases: Sequence[Case], k: int, seed: int) -> dict[str, frozenset[int]]:
    """Parts 0 to k - 1, one interval each: the parts that each image, by name, may stand in."""
    spans, size = _spans(cases)
    draw = np.random.default_rng(seed)
    even = np.arange(1, k) * size / k
    jitter = draw.uniform(-0.4, 0.4, (_FOLD_DRAWS, k - 1)) * size / k
    drawn = np.sort(np.rint(even + jitter).astype(int), axis=1).tolist()
    strata = _strata(cases)
    best = min(drawn, key=lambda cuts: _cost(strata, _folded(spans, cuts), (1 / k,) * k))
    return {case.name: parts for case, parts in zip(cases, _folded(spans, best), strict=True)}


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts patient 9 before patient 10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _spans(cases: Sequence[Case]) -> tuple[list[Interval], int]:
    """Each image's first and last patient, as numbers in the order of all such, and how many there are."""
    ends = [tuple(sorted(case.patients, key=natural)) for case in cases]
    known = sorted({end for names in ends for end in (names[0], names[-1])}, key=natural)
    number = {name: position for position, name in enumerate(known)}
    return [(number[names[0]], number[names[-1]]) for names in ends], len(known)


def _interval_pair(size: int, test: float, validation: float, draw: np.random.Generator) -> tuple[Interval, Interval]:
    """Two intervals of patients, each about as long as its share."""
    lengths = [max(1, round(share * size * draw.uniform(0.6, 1.4))) for share in (test, validation)]
    free = size - sum(lengths)
    first_gap, second_gap = np.sort(draw.integers(0, max(1, free + 1), size=2)).tolist()
    swapped = draw.random() < 0.5
    first, second = (lengths[1], lengths[0]) if swapped else (lengths[0], lengths[1])
    one = _interval(size, first_gap, first)
    two = _interval(size, second_gap + first, second)
    return (two, one) if swapped else (one, two)


def _interval(size: int, start: int, length: int) -> Interval:
    return min(start, size - 1), min(start + length - 1, size - 1)


def _held_out(spans: Sequence[Interval], held_out: tuple[Interval, Interval]) -> list[frozenset[int]]:
    rest = 2
    parts = []
    for span in spans:
        touched = {part for part, interval in enumerate(held_out) if _overlap(span, interval)}
        inside = any(_within(span, interval) for interval in held_out)
        parts.append(frozenset(touched if inside else touched | {rest}))
    return parts


def _folded(spans: Sequence[Interval], cuts: Sequence[int]) -> list[frozenset[int]]:
    return [frozenset(range(bisect_right(cuts, first), bisect_right(cuts, last) + 1)) for first, last in spans]


def _strata(cases: Sequence[Case]) -> list[str]:
    return [f"{case.pathology} {case.label_is_fair}" for case in cases]


def _cost(strata: Sequence[str], parts: Sequence[frozenset[int]], shares: Sequence[float]) -> float:
    totals = Counter(strata)
    counts = Counter(zip(strata, parts, strict=True))
    in_doubt = sum(count for (_, where), count in counts.items() if len(where) > 1)
    uneven = sum(
        abs(counts[stratum, frozenset({part})] / total - share)
        for part, share in enumerate(shares)
        for stratum, total in totals.items()
    )
    return _IN_DOUBT * in_doubt / len(strata) + uneven


def _overlap(one: Interval, other: Interval) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _within(one: Interval, other: Interval) -> bool:
    return other[0] <= one[0] and one[1] <= other[1]
