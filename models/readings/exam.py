"""Combines image readings into the reading of an exam. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from models.anatomy.location import location_of
from models.anatomy.two_views import tie_views
from models.types.exam import BreastReading, ExamImage, ExamReading, FindingId, UnreadImage
from models.types.mammogram import Laterality

FOUR_VIEWS = frozenset((side, view) for side in Laterality for view in ("CC", "MLO"))
"""The views of a screening exam of both breasts."""

_SIDES = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}
_NO_SIDE = "The header does not say which breast this is: it counts for the exam's score, but not for a breast's."


def put_together(
    images: Sequence[ExamImage],
    unread: Sequence[UnreadImage],
    arrived: Collection[tuple[Laterality, str]],
    breasts: Collection[Laterality] = (),
) -> ExamReading:
    """The exam's reading by the joining rule (`models.types.exam.JOINING_RULE`).

    Args:
        images: the images that were read, including magnified and partial views.
        unread: the images that were not.
        arrived: (laterality, view) of every whole view of the study, read or not: a view that arrived and could not be
            read is unread, not missing. Magnified and partial views, projections and slices do not count.
        breasts: the breasts of which there is any image, in any view: views of these breasts can be missing.
    """
    read = [side for side in Laterality if any(image.laterality is side for image in images)]
    there = {*read, *(side for side, _ in arrived), *breasts}
    return ExamReading(
        images=tuple(images),
        unread=tuple(unread),
        missing=tuple(_named(side, view) for side, view in sorted(FOUR_VIEWS - set(arrived)) if side in there),
        breasts=tuple(_breast(side, [image for image in images if image.laterality is side]) for side in read),
        malignancy=highest.reading.malignancy if (highest := _highest(images)) else None,
        warnings=tuple(_warnings(images)),
        likelihood=highest.reading.as_exam if highest else None,
        ties=tie_views(images),
        locations={
            FindingId(image.sop_instance_uid, number): location_of(finding, image)
            for image in images
            for number, finding in enumerate(image.reading.findings, start=1)
        },
    )


def _breast(side: Laterality, images: Sequence[ExamImage]) -> BreastReading:
    reading = max((image.reading for image in images), key=lambda reading: reading.malignancy)
    return BreastReading(side, reading.malignancy, reading.as_breast)


def _highest(images: Sequence[ExamImage]) -> ExamImage | None:
    return max(images, key=lambda image: image.reading.malignancy, default=None)


def _warnings(images: Iterable[ExamImage]) -> Iterable[str]:
    """Each sentence once, preceded by the images that it is about."""
    about: dict[str, list[str]] = {}
    for image in images:
        own = image.reading.warnings if image.laterality else (*image.reading.warnings, _NO_SIDE)
        for sentence in dict.fromkeys(own):
            about.setdefault(sentence, []).append(_named(image.laterality, image.view))
    return (f"{', '.join(dict.fromkeys(names))}: {sentence}" for sentence, names in about.items())


def _named(side: Laterality | None, view: str | None) -> str:
    """ "left MLO"; "unknown side" or "unknown view" if the header does not state it."""
    return f"{_SIDES[side] if side else 'unknown side'} {view or 'unknown view'}"
