"""What is scored, and against which outcome: images, breasts, exams and lesions. Only images whose label nothing but
the disease tells (`Case.label_is_fair`) are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.birads.calibration import Calibration, Level
from models.datasets.case import Pathology
from models.datasets.labels import worst_birads
from models.evaluation.observations import Observation
from models.measures.scores import Bools, Floats
from models.types import Laterality


@dataclass(frozen=True)
class Scored:
    """Something with a score and an outcome: an image, a breast, an exam or a lesion.

    Attributes:
        of: what it is, among others of its level: its images' names; of a lesion also its number.
    """

    patient: str
    score: float
    malignant: bool
    of: tuple[str, ...] = ()


def scored_images(observations: Iterable[Observation]) -> list[Scored]:
    """Images with a score and a pathology that may be measured."""
    return [_worst([one]) for one in observations if can_be_scored(one)]


def can_be_scored(one: Observation) -> bool:
    """Whether an image has a score, and a known pathology that nothing but the disease tells."""
    return one.score is not None and one.label_is_fair and one.pathology is not None


def scored_lesions(observations: Iterable[Observation]) -> list[Scored]:
    """Lesions with a pathology of their own, by their true outlines."""
    return [
        Scored(one.patient, lesion.score, lesion.pathology is Pathology.MALIGNANT, (one.name, str(number)))
        for one in observations
        if one.label_is_fair
        for number, lesion in enumerate(one.lesions)
        if lesion.score is not None and lesion.pathology is not None
    ]


def scored_breasts(observations: Iterable[Observation]) -> list[Scored]:
    """Breasts: the highest score and the worst pathology of their images (the node's joining rule).

    Those that at least two images of an exam show: the highest of one view would be lower than what the node reports.
    A breast with an image that cannot be scored is left out, lest the worst be looked for among the others alone.
    """
    return [
        _worst(some)
        for (*_, laterality), some in _groups(observations, lambda one: (*_exam(one), one.laterality)).items()
        if laterality is not None and len(some) > 1 and all(map(can_be_scored, some))
    ]


def scored_exams(observations: Iterable[Observation]) -> list[Scored]:
    """Exams, in the same way: those with at least two images of either breast, all of which can be scored."""
    return [
        _worst(some)
        for some in _groups(observations, _exam).values()
        if all(sum(one.laterality is side for one in some) > 1 for side in Laterality) and all(map(can_be_scored, some))
    ]


def _exam(one: Observation) -> tuple[str | None, ...]:
    return one.dataset, one.patient, one.exam


def _groups(
    observations: Iterable[Observation], part: Callable[[Observation], tuple[str | None, ...]]
) -> dict[tuple[str | None, ...], list[Observation]]:
    """Images by what they are a part of, of those whose exam is known."""
    groups: dict[tuple[str | None, ...], list[Observation]] = {}
    for one in observations:
        if one.exam is not None:
            groups.setdefault(part(one), []).append(one)
    return groups


def _worst(some: Sequence[Observation]) -> Scored:
    """All images can be scored."""
    scores = [one.score for one in some if one.score is not None]
    names = tuple(one.name for one in some)
    return Scored(some[0].patient, max(scores), any(one.malignant for one in some), names)


def arrays(some: Sequence[Scored]) -> tuple[Floats, Bools]:
    """Scores and outcomes."""
    return np.array([one.score for one in some]), np.array([one.malignant for one in some], dtype=np.bool_)


def levels(observations: Sequence[Observation]) -> dict[Level, list[Scored]]:
    """What can be scored, at each level."""
    return {
        Level.IMAGE: scored_images(observations),
        Level.BREAST: scored_breasts(observations),
        Level.EXAM: scored_exams(observations),
        Level.LESION: scored_lesions(observations),
    }


def worth(some: Sequence[Scored], calibration: Calibration | None) -> list[Scored]:
    """With probabilities for scores, where there is a calibration."""
    if calibration is None:
        return list(some)
    return [replace(one, score=calibration.probability(one.score)) for one in some]


def birads_of(one: Observation) -> str | None:
    """The breast's category or, where only its lesions have one, the one that stands for theirs."""
    return one.birads if one.birads is not None else worst_birads(lesion.birads for lesion in one.lesions)
