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

from models.anatomy.location import LATERAL_VIEWS, distance_to_nipple
from models.types.exam import ExamImage, FindingId, Tie
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

ODDS = ((10.0, 2.4), (25.0, 1.0))
"""Up to so many mm of difference: how many times as often it is found between two views of one lesion (19 breasts of
CDD-CESM, 19 patients, none of them a test patient) as between lesions of two patients. Where either is as likely
beforehand, that makes certainties of 0.71 and 0.5. benchmarks/two_views.py measures it."""
LARGEST_DIFFERENCE_MM = ODDS[-1][0]


@dataclass(frozen=True)
class _Distance:
    finding: FindingId
    distance_mm: float


def tie_views(images: Sequence[ExamImage]) -> tuple[Tie, ...]:
    """The ties between findings of each breast's views: of one kind, one to one in each pair of a cranio-caudal and an
    oblique or lateral image, so that the differences are small, and none larger than `LARGEST_DIFFERENCE_MM`.

    Images of which nipple or spacing is not known have no ties. A tie is the less certain the more other
    findings either of its two could be tied to: of all these pairs one is taken to be right, or none.
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
    differences = np.abs(np.subtract.outer([one.distance_mm for one in first], [one.distance_mm for one in second]))
    odds = np.array([_odds(float(difference)) for difference in differences.flat]).reshape(differences.shape)
    # Too far apart costs more than all ties together, so that as many findings as can be are tied.
    cost = np.where(odds > 0, differences, LARGEST_DIFFERENCE_MM * (1 + differences.size))
    for row, column in zip(*linear_sum_assignment(cost), strict=True):
        if odds[row, column] > 0:
            one, other = first[row], second[column]
            rivals = odds[row].sum() + odds[:, column].sum() - odds[row, column]
            certainty = float(odds[row, column] / (1 + rivals))
            yield Tie((one.finding, other.finding), (one.distance_mm, other.distance_mm), certainty)


def _odds(difference_mm: float) -> float:
    """Of one lesion against two, where they are as likely beforehand; 0 where they are too far apart for a tie."""
    return next((odds for limit, odds in ODDS if difference_mm <= limit), 0.0)


def _places(image: ExamImage, kind: FindingKind) -> list[_Distance]:
    return [
        _Distance(FindingId(image.sop_instance_uid, number), distance)
        for number, finding in enumerate(image.reading.findings, start=1)
        if finding.kind is kind and (distance := distance_to_nipple(finding, image.reading)) is not None
    ]
