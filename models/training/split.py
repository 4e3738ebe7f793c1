"""Who is trained on and who is held out: by patient, never by image.

An image whose patient is known only to lie in a range of numbers could be any of them, so patients are held out by
intervals of their numbers: a range that lies in one side's intervals goes to that side, one that reaches into two is
left out. Of many seeded draws of the intervals the one is taken that leaves out least and keeps the shares of each
stratum closest to what was asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

_DRAWS = 4000
_LEFT_OUT_WEIGHT = 3.0
"""An image left out costs this many times what it costs on the wrong side."""


class SplitError(ValueError):
    """The images cannot be split, or a patient stands on two sides."""


@dataclass(frozen=True)
class Case:
    """What the split needs to know of an image: the first and last number of its patient, and its stratum."""

    name: str
    patients: tuple[int, int]
    stratum: str


@dataclass(frozen=True)
class Split:
    """Names of images by side, with the intervals of patient numbers (first and last, both included) held out."""

    seed: int
    test_patients: tuple[int, int]
    validation_patients: tuple[int, int]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    left_out: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Writes the split as JSON, so that it can be read, checked and used again."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def split_by_patient(cases: Sequence[Case], test: float, validation: float, seed: int) -> Split:
    """Splits images into training, validation and test.

    Args:
        cases: the images.
        test: the share of images to hold out for the figures, 0..1.
        validation: the share that chooses the best weights, 0..1.
        seed: the same seed and cases give the same split.

    Raises:
        SplitError: there are no cases, or too few patients for three sides.
    """
    if not cases:
        raise SplitError("There is nothing to split: the data set has no images.")
    numbers = sorted({number for case in cases for number in case.patients})
    if len(numbers) < 3:
        raise SplitError(f"{len(numbers)} patients cannot be split three ways. Add images of more patients.")
    draw = np.random.default_rng(seed)
    drawn = (_interval_pair(numbers, test, validation, draw) for _ in range(_DRAWS))
    shares = {"test": test, "validation": validation, "train": 1 - test - validation}
    held_out = min(drawn, key=lambda pair: _cost(cases, pair, shares))
    sides = _sides(cases, held_out)
    if not all(sides[side] for side in ("train", "validation", "test")):
        raise SplitError("No split leaves images on all three sides. Add images of more patients.")
    split = Split(
        seed=seed,
        test_patients=held_out[0],
        validation_patients=held_out[1],
        **{side: tuple(case.name for case in sides[side]) for side in ("train", "validation", "test", "left_out")},
    )
    check_disjoint(split, cases)
    return split


def check_disjoint(split: Split, cases: Iterable[Case]) -> None:
    """Makes sure that no patient can stand on two sides.

    Raises:
        SplitError: one does; the message names two of the images.
    """
    patients = {case.name: case.patients for case in cases}
    sides = ("train", "validation", "test")
    for index, one in enumerate(sides):
        for other in sides[index + 1 :]:
            for first in getattr(split, one):
                for second in getattr(split, other):
                    if _overlap(patients[first], patients[second]):
                        raise SplitError(
                            f"{first} ({one}) and {second} ({other}) may show the same patient. Split by patient."
                        )


Interval = tuple[int, int]


def _interval_pair(
    numbers: Sequence[int], test: float, validation: float, draw: np.random.Generator
) -> tuple[Interval, Interval]:
    """Two intervals of patient numbers that do not meet, each about as long as its share."""
    lengths = [max(1, round(share * len(numbers) * draw.uniform(0.6, 1.4))) for share in (test, validation)]
    free = len(numbers) - sum(lengths)
    first_gap, second_gap = np.sort(draw.integers(0, max(1, free + 1), size=2)).tolist()
    swapped = draw.random() < 0.5
    first, second = (lengths[1], lengths[0]) if swapped else (lengths[0], lengths[1])
    one = _interval(numbers, first_gap, first)
    two = _interval(numbers, second_gap + first, second)
    return (two, one) if swapped else (one, two)


def _interval(numbers: Sequence[int], start: int, length: int) -> Interval:
    last = len(numbers) - 1
    return numbers[min(start, last)], numbers[min(start + length - 1, last)]


def _sides(cases: Iterable[Case], held_out: tuple[Interval, Interval]) -> dict[str, list[Case]]:
    sides: dict[str, list[Case]] = {"train": [], "validation": [], "test": [], "left_out": []}
    test, validation = held_out
    for case in cases:
        if _within(case.patients, test):
            sides["test"].append(case)
        elif _within(case.patients, validation):
            sides["validation"].append(case)
        elif _overlap(case.patients, test) or _overlap(case.patients, validation):
            sides["left_out"].append(case)
        else:
            sides["train"].append(case)
    return sides


def _cost(cases: Sequence[Case], held_out: tuple[Interval, Interval], shares: Mapping[str, float]) -> float:
    if _overlap(*held_out):
        return float("inf")
    sides = _sides(cases, held_out)
    totals = Counter(case.stratum for case in cases)
    cost = _LEFT_OUT_WEIGHT * len(sides["left_out"]) / len(cases)
    for side, share in shares.items():
        counts = Counter(case.stratum for case in sides[side])
        cost += sum(abs(counts[stratum] / total - share) for stratum, total in totals.items())
    return cost


def _overlap(one: Interval, other: Interval) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _within(one: Interval, other: Interval) -> bool:
    return other[0] <= one[0] and one[1] <= other[1]
