"""Matches findings of two views of one breast that may be the same lesion: those at the same distance from the nipple.

The distance of a lesion from the nipple is nearly the same in every view (the arc method: Paquerault et al., Med Phys
29:238, 2002; van Engeland et al., Med Phys 33:3203, 2006). docs/two_views.md has the measured accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.anatomy.location import LATERAL_VIEWS, distance_to_nipple
from models.types.exam import ExamImage, FindingId, Tie
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

ODDS = ((10.0, 2.4), (25.0, 1.0))
"""Pairs of a largest difference in mm and a likelihood ratio: how many times as frequent such differences are between
two views of one lesion (19 breasts of CDD-CESM, 19 patients, none of them a test patient) as between lesions of two
patients. With equal prior probabilities, the certainties are 0.71 and 0.5. benchmarks/two_views.py measures it."""
LARGEST_DIFFERENCE_MM = ODDS[-1][0]


@dataclass(frozen=True)
class _Distance:
    finding: FindingId
    distance_mm: float


def tie_views(images: Sequence[ExamImage]) -> tuple[Tie, ...]:
    """The ties between findings of the same kind in a breast's views; masses with and without calcifications are of one
    kind here, because calcifications may show in one view only.

    Findings are tied one to one in each pair of a cranio-caudal and an oblique or lateral image, with the least sum of
    differences; no difference is larger than `LARGEST_DIFFERENCE_MM`. Images without a known nipple or spacing have no
    ties. A tie is less certain if its findings could also be tied to other findings: at most one of these pairs is
    assumed to be right.
    """
    ties: list[Tie] = []
    for side in Laterality:
        shown = [image for image in images if image.laterality is side]
        from_above = [image for image in shown if image.view == "CC"]
        from_beside = [image for image in shown if image.view in LATERAL_VIEWS]
        for first, second in product(from_above, from_beside):
            for kind in FindingKind:
                ties.extend(_ties(_places(first, kind), _places(second, kind)))
    return tuple(ties)


def _ties(first: Sequence[_Distance], second: Sequence[_Distance]) -> Iterator[Tie]:
    differences = np.abs(
        np.subtract.outer([place.distance_mm for place in first], [place.distance_mm for place in second])
    )
    odds = np.array([_odds(float(difference)) for difference in differences.flat]).reshape(differences.shape)
    # A pair that is too far apart costs more than all ties together, so that as many findings as possible are tied.
    cost = np.where(odds > 0, differences, LARGEST_DIFFERENCE_MM * (1 + differences.size))
    for row, column in zip(*linear_sum_assignment(cost), strict=True):
        if odds[row, column] > 0:
            a, b = first[row], second[column]
            rivals = odds[row].sum() + odds[:, column].sum() - odds[row, column]
            certainty = float(odds[row, column] / (1 + rivals))
            yield Tie((a.finding, b.finding), (a.distance_mm, b.distance_mm), certainty)


def _odds(difference_mm: float) -> float:
    """The odds of one lesion against two lesions, at equal prior probabilities; 0 if too far apart for a tie."""
    return next((odds for limit, odds in ODDS if difference_mm <= limit), 0.0)


def _places(image: ExamImage, kind: FindingKind) -> list[_Distance]:
    return [
        _Distance(FindingId(image.sop_instance_uid, number), distance)
        for number, finding in enumerate(image.reading.findings, start=1)
        if finding.kind.basic is kind and (distance := distance_to_nipple(finding, image.reading)) is not None
    ]
