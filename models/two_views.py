"""Which findings of two views of one breast may be one lesion: those that lie equally far from the nipple.

A lesion keeps its distance from the nipple, more or less, however the breast is turned and compressed (the arc method:
Paquerault et al., Med Phys 29:238, 2002; van Engeland et al., Med Phys 33:3203, 2006). docs/two_views.md has how well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.location import LATERAL_VIEWS, distance_to_nipple
from models.types import FindingId, FindingKind, Laterality, ReadImage, Tie

ODDS = ((10.0, 2.0), (30.0, 1.5))
"""Up to so many mm of difference between the distances: how many times as often one lesion differs by as much as two."""
LARGEST_DIFFERENCE_MM = ODDS[-1][0]


@dataclass(frozen=True)
class _Place:
    finding: FindingId
    kind: FindingKind
    distance_mm: float


def tie_views(images: Sequence[ReadImage]) -> tuple[Tie, ...]:
    """The ties between findings of each breast's views: of one kind, one to one in each pair of a cranio-caudal and an
    oblique or lateral image, so that the differences are small, and none larger than `LARGEST_DIFFERENCE_MM`.

    Images of which nipple or spacing is not known have no ties.
    """
    ties: list[Tie] = []
    for side in Laterality:
        shown = [image for image in images if image.laterality is side]
        from_above = [image for image in shown if image.view == "CC"]
        from_beside = [image for image in shown if image.view in LATERAL_VIEWS]
        for first, second in product(from_above, from_beside):
            for kind in FindingKind:
                ties.extend(
                    _ties(*([place for place in _places(one) if place.kind is kind] for one in (first, second)))
                )
    return tuple(ties)


def _ties(first: Sequence[_Place], second: Sequence[_Place]) -> Iterator[Tie]:
    if not first or not second:
        return
    differences = np.abs(np.subtract.outer([one.distance_mm for one in first], [one.distance_mm for one in second]))
    odds = np.vectorize(odds_of, otypes=[float])(differences)
    # A pair that is too far apart costs more than all others together: as many as can be are tied.
    cost = np.where(odds > 0, differences, LARGEST_DIFFERENCE_MM * (1 + differences.size))
    for row, column in zip(*linear_sum_assignment(cost), strict=True):
        if odds[row, column] > 0:
            one, other = first[row], second[column]
            rivals = odds[row].sum() + odds[:, column].sum() - odds[row, column]
            certainty = float(odds[row, column] / (1 + rivals))
            yield Tie((one.finding, other.finding), (one.distance_mm, other.distance_mm), certainty)


def odds_of(difference_mm: float) -> float:
    """Of one lesion against two, where they are as likely beforehand; 0 where they are too far apart for a tie."""
    return next((odds for limit, odds in ODDS if difference_mm <= limit), 0.0)


def _places(image: ReadImage) -> Iterator[_Place]:
    for number, finding in enumerate(image.reading.findings, start=1):
        distance = distance_to_nipple(finding, image.reading)
        if distance is not None:
            yield _Place(FindingId(image.sop_instance_uid, number), finding.kind, distance)
