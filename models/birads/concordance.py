"""Compares a radiologist's categories with the models' probabilities. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from models.birads.categories import NIL_IN_BREAST, NIL_IN_EXAM, is_suspicious, points_away
from models.types.birads import Agreement, Assessment, Category, Concordance, Likelihood
from models.types.exam import ExamReading
from models.types.mammogram import Laterality

KNOWN_CANCER = "category 6 is known cancer and is left out of comparisons"
NOT_CALIBRATED = "the models' scores are not calibrated at this level and give no probability"
NOT_READ = "no image of this breast was read"
NOTHING_READ = "no image of the exam was read"


def concordances(exam: ExamReading, assessments: Iterable[Assessment]) -> tuple[Concordance, ...]:
    """Each assessment with the models' probability for the same breast, or for the exam if it names no breast.

    They agree on recall if the probability is above the site's threshold and the category is above 3 or 0, or if
    neither is the case (the first paper's rule; 0 counts as a recall for safety). While a part was not read, the models
    can recall and not refrain from it: then nothing is compared. This is not agreement of the
    categories: the distance of the probability from the category's range is given too.
    """
    return tuple(_concordance(exam, assessment) for assessment in assessments)


def is_discordant(exam: ExamReading) -> bool:
    """Whether the models and the radiologist disagree on recall in at least one comparison."""
    return any(concordance.agreement in (Agreement.AI_HIGHER, Agreement.AI_LOWER) for concordance in exam.concordances)


def _concordance(exam: ExamReading, assessment: Assessment) -> Concordance:
    was_read, likelihood = _of(exam, assessment.laterality)
    if assessment.category is Category.SIX:
        return Concordance(assessment.laterality, assessment, likelihood, Agreement.NOT_COMPARED, why=KNOWN_CANCER)
    if likelihood is None:
        unread = NOT_READ if assessment.laterality else NOTHING_READ
        why = exam.withheld.get(assessment.laterality, NOT_CALIBRATED) if was_read else unread
        return Concordance(assessment.laterality, assessment, None, Agreement.NOT_COMPARED, why=why)
    nil = NIL_IN_BREAST if assessment.laterality else NIL_IN_EXAM
    return Concordance(
        assessment.laterality,
        assessment,
        likelihood,
        agreement(likelihood.is_recalled(exam.recall_threshold), is_suspicious(assessment.category)),
        points_away(likelihood.probability, assessment.category, nil),
    )


def agreement(ours: bool, theirs: bool) -> Agreement:
    """Compares two decisions to recall, the models' and the radiologist's."""
    if ours == theirs:
        return Agreement.AGREE
    return Agreement.AI_HIGHER if ours else Agreement.AI_LOWER


def _of(exam: ExamReading, laterality: Laterality | None) -> tuple[bool, Likelihood | None]:
    if laterality is None:
        return exam.malignancy is not None, exam.likelihood
    breast = next((breast for breast in exam.breasts if breast.laterality is laterality), None)
    return breast is not None, breast.likelihood if breast else None
