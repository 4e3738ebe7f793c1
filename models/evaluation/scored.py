"""Scores and outcomes of images, breasts, exams and lesions. Only images with a fair label (`Case.label_is_fair`) are
used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.birads.calibration import Calibration, Level
from models.datasets.case import Case, Pathology
from models.datasets.labels import worst_birads
from models.evaluation.observations import Observation
from models.measures.scores import Bools, Floats
from models.types.mammogram import Laterality


@dataclass(frozen=True)
class Scored:
    """An item with a score and an outcome: an image, a breast, an exam or a lesion.

    Attributes:
        of: identifies it within its level: its images' names; for a lesion also its index.
        hospital: see `Case`; "" if its images are of several.
    """

    patient: str
    score: float
    malignant: bool
    of: tuple[str, ...] = ()
    hospital: str = ""


def scored_images(observations: Iterable[Observation]) -> list[Scored]:
    """The images that can be scored (`can_be_scored`)."""
    return [_worst([observation]) for observation in observations if can_be_scored(observation)]


def can_be_scored(observation: Observation) -> bool:
    """Whether an image has a score, a known pathology and a fair label."""
    return observation.score is not None and observation.label_is_fair and observation.pathology is not None


def scored_lesions(observations: Iterable[Observation]) -> list[Scored]:
    """Lesions with a pathology of their own, by their true outlines."""
    return [
        Scored(
            observation.patient,
            lesion.score,
            lesion.pathology is Pathology.MALIGNANT,
            (observation.name, str(number)),
            observation.hospital,
        )
        for observation in observations
        if observation.label_is_fair
        for number, lesion in enumerate(observation.lesions)
        if lesion.score is not None and lesion.pathology is not None
    ]


def scored_breasts(observations: Iterable[Observation]) -> list[Scored]:
    """Breasts: the highest score and the most severe pathology of their images (the node's joining rule).

    Only breasts that at least two images of an exam show: with a single view the score would be lower than the node's.
    A breast with an image that cannot be scored is left out: its score or pathology could be too low.
    """
    return [
        _worst(some)
        for (*_, laterality), some in _groups(observations, breast_of).items()
        if laterality is not None and len(some) > 1 and all(map(can_be_scored, some))
    ]


def scored_exams(observations: Iterable[Observation]) -> list[Scored]:
    """Exams, by the same rule: those with at least two images of each breast, all of which can be scored."""
    return [
        _worst(some)
        for some in _groups(observations, _exam).values()
        if all(sum(item.laterality is side for item in some) > 1 for side in Laterality)
        and all(map(can_be_scored, some))
    ]


def with_masses(observations: Iterable[Observation]) -> list[Observation]:
    """Images with a mass: the paper's rows are of masses."""
    return [observation for observation in observations if any(lesion.kind.is_mass for lesion in observation.lesions)]


def only_masses(observations: Sequence[Observation]) -> list[Observation]:
    """The images, with only their masses as lesions."""
    return [
        replace(observation, lesions=tuple(lesion for lesion in observation.lesions if lesion.kind.is_mass))
        for observation in observations
    ]


def _exam(image: Observation | Case) -> tuple[str | None, ...]:
    return image.dataset, image.patient, image.exam


def breast_of(image: Observation | Case) -> tuple[str | None, ...]:
    """What the images of one breast in one exam have in common."""
    return *_exam(image), image.laterality


def _groups(
    observations: Iterable[Observation], part: Callable[[Observation], tuple[str | None, ...]]
) -> dict[tuple[str | None, ...], list[Observation]]:
    """The images with a known exam, grouped by exam or breast."""
    groups: dict[tuple[str | None, ...], list[Observation]] = {}
    for observation in observations:
        if observation.exam is not None:
            groups.setdefault(part(observation), []).append(observation)
    return groups


def _worst(some: Sequence[Observation]) -> Scored:
    """The images as one item: highest score, most severe pathology; all of them must be scorable."""
    scores = [item.score for item in some if item.score is not None]
    hospitals = {item.hospital for item in some}
    return Scored(
        some[0].patient,
        max(scores),
        any(item.malignant for item in some),
        tuple(item.name for item in some),
        hospitals.pop() if len(hospitals) == 1 else "",
    )


def scored_of(observation: Observation, score: float) -> Scored:
    """An image with another score than the models'."""
    return _worst([replace(observation, score=score)])


def arrays(some: Sequence[Scored]) -> tuple[Floats, Bools]:
    """Scores and outcomes."""
    return np.array([item.score for item in some]), np.array([item.malignant for item in some], dtype=np.bool_)


def levels(observations: Sequence[Observation]) -> dict[Level, list[Scored]]:
    """The items that can be scored, at each level."""
    return {
        Level.IMAGE: scored_images(observations),
        Level.BREAST: scored_breasts(observations),
        Level.EXAM: scored_exams(observations),
        Level.LESION: scored_lesions(observations),
    }


def worth(some: Sequence[Scored], calibration: Calibration | None) -> list[Scored]:
    """The items with probabilities instead of scores; unchanged without a calibration."""
    if calibration is None:
        return list(some)
    return [replace(item, score=calibration.probability(item.score)) for item in some]


def birads_of(observation: Observation) -> str | None:
    """The breast's category or, if only its lesions have one, their most severe one."""
    if observation.birads is not None:
        return observation.birads
    return worst_birads(lesion.birads for lesion in observation.lesions)
