"""Combines image readings into the reading of an exam. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from models.anatomy.location import location_of
from models.anatomy.two_views import tie_views
from models.types.birads import RECALL_THRESHOLD, Likelihood
from models.types.exam import BreastReading, ExamImage, ExamReading, FindingId, UnreadImage
from models.types.mammogram import Laterality

FOUR_VIEWS = frozenset((side, view) for side in Laterality for view in ("CC", "MLO"))
"""The views of a screening exam of both breasts."""

NOT_READ = "these images were not read: {places}"
NO_PROBABILITY = "these images give no probability: {places}"
READ_DIFFERENTLY = "these images were read by different models or at different prevalences: {places}"

_SIDES = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}
_NO_SIDE = "The header does not say which breast this is: it counts for the exam's score, but not for a breast's."


def put_together(
    images: Sequence[ExamImage],
    unread: Sequence[UnreadImage],
    arrived: Collection[tuple[Laterality, str]],
    breasts: Collection[Laterality] = (),
    recall_threshold: float = RECALL_THRESHOLD,
) -> ExamReading:
    """The exam's reading by the joining rule (`models.types.exam.JOINING_RULE`).

    A breast or an exam that is not above the recall threshold has a probability only if every image of it was read and
    gives one: one that was not may show a lesion. If models or prevalences of the images differ, there is no score, and
    only a probability above the threshold is stated, which is an image's own (`ExamReading.withheld`).

    Args:
        images: the images that were read, including magnified and partial views.
        unread: the images that were not.
        arrived: (laterality, view) of every whole view of the study, read or not: a view that arrived and could not be
            read is unread, not missing. Magnified and partial views, projections and slices do not count.
        breasts: the breasts of which there is any image, in any view: views of these breasts can be missing.
        recall_threshold: the site's: a probability (0..1) above it is a recall.
    """
    read = [side for side in Laterality if any(image.laterality is side for image in images)]
    there = {*read, *(side for side, _ in arrived), *breasts}
    images = [image if image.calibration_holds else _without_probability(image) for image in images]
    lacking = [image for image in unread if image.is_lacking]
    differently = _read_differently(images)
    wholes = {
        side: _whole(
            [image for image in images if image.laterality is side],
            [image for image in lacking if image.laterality in (side, None)],
            differently,
            lambda image: image.reading.as_breast,
            recall_threshold,
        )
        for side in sorted({*read, *(image.laterality for image in lacking if image.laterality)})
    }
    exam = _whole(images, lacking, differently, lambda image: image.reading.as_exam, recall_threshold)
    withheld = {side: whole.withheld for side, whole in [*wholes.items(), (None, exam)]}
    return ExamReading(
        images=tuple(images),
        unread=tuple(unread),
        missing=tuple(_named(side, view) for side, view in sorted(FOUR_VIEWS - set(arrived)) if side in there),
        breasts=tuple(
            BreastReading(side, whole.score, whole.likelihood)
            for side, whole in wholes.items()
            if whole.score is not None
        ),
        malignancy=exam.score,
        warnings=tuple(_warnings(images)),
        likelihood=exam.likelihood,
        withheld={side: why for side, why in withheld.items() if why},
        ties=tie_views(images),
        recall_threshold=recall_threshold,
        locations={
            FindingId(image.sop_instance_uid, number): location_of(finding, image)
            for image in images
            for number, finding in enumerate(image.reading.findings, start=1)
        },
    )


@dataclass(frozen=True)
class _Whole:
    """What is stated of a breast or of the exam; `withheld`: why nothing negative is."""

    score: float | None
    likelihood: Likelihood | None
    withheld: str


def _whole(
    images: Sequence[ExamImage],
    lacking: Sequence[UnreadImage],
    differently: str,
    likelihood_of: Callable[[ExamImage], Likelihood | None],
    recall_threshold: float,
) -> _Whole:
    holding = [image for image in images if image.calibration_holds]
    stated = [(likelihood, image) for image in holding if (likelihood := likelihood_of(image)) is not None]
    above = [(likelihood, image) for likelihood, image in stated if likelihood.is_recalled(recall_threshold)]
    if differently and images:
        # Each is of its own calibration: probabilities compare where scores do not.
        if not above:
            return _Whole(None, None, differently)
        worst, image = max(above, key=lambda each: each[0].probability)
        return _Whole(image.reading.malignancy, worst, "")
    highest = max(holding or images, key=lambda image: image.reading.malignancy, default=None)
    score = highest.reading.malignancy if highest else None
    likelihood = likelihood_of(highest) if highest else None
    if likelihood is not None and likelihood.is_recalled(recall_threshold):
        return _Whole(score, likelihood, "")
    if lacking:
        return _Whole(score, None, NOT_READ.format(places=_listed(lacking)))
    silent = [image for image in images if not image.calibration_holds]
    if silent and any(image.reading.prevalence is not None for image in images):
        return _Whole(score, None, NO_PROBABILITY.format(places=_listed(silent)))
    return _Whole(score, likelihood, "")


def _without_probability(image: ExamImage) -> ExamImage:
    """The image with its scores alone, whatever its reading holds: older versions calculated more."""
    findings = tuple(replace(finding, likelihood=None) for finding in image.reading.findings)
    bare = replace(image.reading, findings=findings, likelihood=None, as_breast=None, as_exam=None)
    return replace(image, reading=bare)


def _read_differently(images: Iterable[ExamImage]) -> str:
    """Why the scores of an exam's images do not compare; "" if they do."""
    by = {image: (image.reading.bundle, image.reading.prevalence) for image in images}
    if len(set(by.values())) < 2:
        return ""
    places = (
        f"{image.place} ({bundle}{', not calibrated' if prevalence is None else f', {100 * prevalence:.3g} %'})"
        for image, (bundle, prevalence) in by.items()
    )
    return READ_DIFFERENTLY.format(places=", ".join(places))


def _listed(images: Iterable[ExamImage | UnreadImage]) -> str:
    return ", ".join(dict.fromkeys(image.place for image in images))


def _warnings(images: Iterable[ExamImage]) -> Iterable[str]:
    """Each sentence once, preceded by the images that it is about."""
    about: dict[str, list[str]] = {}
    for image in images:
        own = [*image.reading.warnings, *([] if image.laterality else [_NO_SIDE])]
        for sentence in dict.fromkeys(own):
            about.setdefault(sentence, []).append(_named(image.laterality, image.view))
    return (f"{', '.join(dict.fromkeys(names))}: {sentence}" for sentence, names in about.items())


def _named(side: Laterality | None, view: str | None) -> str:
    """ "left MLO"; "unknown side" or "unknown view" if the header does not state it."""
    return f"{_SIDES[side] if side else 'unknown side'} {view or 'unknown view'}"
