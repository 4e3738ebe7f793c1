"""An exam's score by tenths of a reference set. Pure functions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from models.readings.exam import FOUR_VIEWS
from models.types.exam import ExamReading
from models.types.reading import BundleId
from models.types.reference import ReferenceSet, ReferenceTenth

NOTHING_READ = "no image of it was read"
ANOTHER_BUNDLE = "it was read by another bundle"
NOT_FOUR_VIEWS = "not all four standard views of it were read"
FURTHER_VIEWS = "further views of it were read"


@dataclass(frozen=True)
class Reference:
    """A reference set with the limits of its tenths.

    Attributes:
        bundle: the bundle whose scores they are.
        content: of that bundle (`models.bundles.bundle.Bundle.content`).
        boundaries: the highest scores (0..1) of the tenths 1 to 9, ascending; several tenths may have the same one.

    Raises:
        ValueError: the boundaries are not nine ascending scores.
    """

    of: ReferenceSet
    bundle: BundleId
    content: str
    boundaries: tuple[float, ...]

    def __post_init__(self) -> None:
        ascending = all(low <= high for low, high in pairwise((0.0, *self.boundaries, 1.0)))
        if len(self.boundaries) != 9 or not ascending:
            raise ValueError("its boundaries are not nine ascending scores of 0 to 1")

    def tenth_of(self, score: float) -> int:
        """The tenth of a score (0..1), 1..10; it does not fall with a rising score.

        Tenth t has a score above those of at least (t - 1) / 10 of the exams, and t is the highest such number. So a
        score equal to a boundary is in the lower tenth, and equal scores are in the lowest tenth that one of them
        reaches.
        """
        return 1 + bisect_left(self.boundaries, score)


def boundaries_of(scores: Sequence[float]) -> tuple[float, ...]:
    """The highest scores of the tenths 1 to 9 of these exams (at least one): tenth t ends at the exam of rank
    t × n / 10, rounded up."""
    ascending = sorted(scores)
    return tuple(ascending[-(-tenth * len(ascending) // 10) - 1] for tenth in range(1, 10))


def why_not_compared(exam: ExamReading, bundle: BundleId) -> str:
    """Why an exam can neither belong to a reference set of a bundle's scores nor be ranked by it; "" if it can.

    The exam's score is the highest of its images: with fewer views it is lower, and with further ones (magnified, of a
    part, without a stated side) higher. So only exams compare of which the four standard views and no others were read.
    """
    if any(image.reading.bundle != bundle for image in exam.images):
        return ANOTHER_BUNDLE
    if exam.malignancy is None:
        return NOTHING_READ
    views = [(image.laterality, image.view) if image.is_whole else None for image in exam.images]
    if not FOUR_VIEWS.issubset(views):
        return NOT_FOUR_VIEWS
    if not FOUR_VIEWS.issuperset(views):
        return FURTHER_VIEWS
    return ""


def ranked(exam: ExamReading, reference: Reference) -> ExamReading:
    """The exam with the tenth of its score; unchanged if it has no score."""
    if exam.malignancy is None:
        return exam
    why = why_not_compared(exam, reference.bundle)
    tenth = None if why else reference.tenth_of(exam.malignancy)
    return replace(exam, tenth=ReferenceTenth(reference.of, tenth, why))
