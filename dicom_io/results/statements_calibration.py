"""The sentences of a report on calibration: calibrated levels, prevalence, and the error on held-out patients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from models.types.birads import Likelihood
from models.types.exam import BreastReading, ExamReading

NOT_CALIBRATED = (
    "The scores are not calibrated: they rank lesions and images, they are not the chance of cancer, "
    "and they lie in no BI-RADS category's range."
)
NO_ASSESSMENT = (
    "A range is that of the ACR BI-RADS 5th ed. category with this likelihood. It is no assessment: categories 3, 4 "
    "and 5 follow a diagnostic work-up. The range of 1 and 2 ends at the prevalence of cancer in screening: a score "
    "cannot tell 1 from 2."
)


def calibration_sentences(exam: ExamReading) -> Iterator[str]:
    """Yields which scores of a read exam are calibrated and which are not. Levels without a score are not mentioned."""
    levels = _levels(exam)
    calibrated = [_share(name, worth, True) for name, worth in levels if any(worth)]
    uncalibrated = [_share(name, worth, False) for name, worth in levels if not all(worth)]
    if not calibrated:
        yield NOT_CALIBRATED
        return
    caveats = dict.fromkeys(image.reading.caveat for image in exam.images if image.reading.caveat)
    calibration = f"Probabilities of cancer of {_listed(calibrated)} are calibrated{_prevalence(exam)}."
    yield " ".join((calibration, *caveats))
    yield NO_ASSESSMENT
    if uncalibrated:
        yield f"The scores of {_listed(uncalibrated)} are not calibrated: they rank, they are not the chance of cancer."


def _levels(exam: ExamReading) -> list[tuple[str, list[Likelihood | None]]]:
    lesions = [finding.likelihood for image in exam.images for finding in image.reading.findings]
    return [
        (name, worth)
        for name, worth in (
            ("lesions", lesions),
            ("images", [image.reading.likelihood for image in exam.images]),
            ("breasts", [_breast(exam, breast) for breast in exam.breasts]),
            ("the exam", [exam.likelihood or _any(image.reading.as_exam for image in exam.images)]),
        )
        if worth
    ]


def _breast(exam: ExamReading, breast: BreastReading) -> Likelihood | None:
    """A breast's, also if it is withheld: the breast's score is calibrated nevertheless."""
    images = (image for image in exam.images if image.laterality is breast.laterality)
    return breast.likelihood or _any(image.reading.as_breast for image in images)


def _any(worth: Iterable[Likelihood | None]) -> Likelihood | None:
    return next(filter(None, worth), None)


def _share(name: str, worth: Sequence[Likelihood | None], calibrated: bool) -> str:
    """The level's name, after "some" if not all its scores are calibrated alike (images read by different bundles)."""
    return name if all((entry is not None) is calibrated for entry in worth) else f"some {name}"


def _prevalence(exam: ExamReading) -> str:
    stated = {image.reading.prevalence for image in exam.images} - {None}
    percents = [f"{100 * share:.3g} %" for share in sorted(share for share in stated if share is not None)]
    return f" at a prevalence of {' or '.join(percents)}" if percents else ""


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
