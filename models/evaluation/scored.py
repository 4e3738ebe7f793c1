"""What is scored, and against which outcome: images, breasts, exams and lesions. Only images whose label nothing but
the disease tells (`Case.label_is_fair`) are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.calibration import Calibration, Level
from models.datasets.case import Pathology
from models.evaluation.observations import Observation
from models.evaluation.scores import Bools, Floats


@dataclass(frozen=True)
class Scored:
    """Something with a score and an outcome: an image, a breast, an exam or a lesion."""

    patient: str
    score: float
    malignant: bool


def scored_images(observations: Iterable[Observation]) -> list[Scored]:
    """Images with a score and a pathology that may be measured."""
    return [
        Scored(one.patient, one.score, one.malignant) for one in observations if _fair(one) and one.score is not None
    ]


def _fair(one: Observation) -> bool:
    return one.label_is_fair and one.pathology is not None


def scored_lesions(observations: Iterable[Observation]) -> list[Scored]:
    """Lesions with a pathology of their own, by their true outlines."""
    return [
        Scored(one.patient, lesion.score, lesion.pathology is Pathology.MALIGNANT)
        for one in observations
        if one.label_is_fair
        for lesion in one.lesions
        if lesion.score is not None and lesion.pathology is not None
    ]


def joined(observations: Iterable[Observation], part: Callable[[Observation], tuple[str, ...] | None]) -> list[Scored]:
    """Breasts or exams: the highest score and the worst pathology of their images (the node's joining rule).

    Args:
        part: names what an image is a part of; None where that is not known.
    """
    groups: dict[tuple[str, ...], list[Observation]] = {}
    for one in observations:
        if one.score is not None and _fair(one) and (key := part(one)) is not None:
            groups.setdefault(key, []).append(one)
    return [
        Scored(
            some[0].patient,
            max(one.score for one in some if one.score is not None),
            any(one.malignant for one in some),
        )
        for some in groups.values()
    ]


def breast_of(one: Observation) -> tuple[str, ...] | None:
    """The breast that an image shows, of its exam."""
    return None if one.exam is None or one.laterality is None else (one.dataset, one.exam, one.laterality)


def exam_of(one: Observation) -> tuple[str, ...] | None:
    """The exam that an image is of."""
    return None if one.exam is None else (one.dataset, one.exam)


def arrays(some: Sequence[Scored]) -> tuple[Floats, Bools]:
    """Scores and outcomes."""
    return np.array([one.score for one in some]), np.array([one.malignant for one in some], dtype=np.bool_)


def levels(observations: Sequence[Observation]) -> dict[Level, list[Scored]]:
    """What can be scored, at each level."""
    return {
        Level.IMAGE: scored_images(observations),
        Level.BREAST: joined(observations, breast_of),
        Level.EXAM: joined(observations, exam_of),
        Level.LESION: scored_lesions(observations),
    }


def worth(some: Sequence[Scored], calibration: Calibration | None) -> list[Scored]:
    """With probabilities for scores, where there is a calibration."""
    if calibration is None:
        return list(some)
    return [replace(one, score=calibration.probability(one.score)) for one in some]


def birads_of(one: Observation) -> str | None:
    """The breast's category or, where only its lesions have one, the highest of theirs (0 above 3, below 4)."""
    if one.birads is not None:
        return one.birads
    order = ("1", "2", "3", "0", "4", "4A", "4B", "4C", "5", "6")
    given = [lesion.birads for lesion in one.lesions if lesion.birads in order]
    return max(given, key=lambda category: order.index(str(category)), default=None)
