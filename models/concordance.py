"""A radiologist's categories held against those that the models imply. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from models.birads import is_suspicious
from models.types import Agreement, Assessment, Category, Concordance, ExamReading, Laterality, Likelihood

KNOWN_CANCER = "category 6 is known cancer and is left out of comparisons"
NOT_CALIBRATED = "the models' scores are not calibrated at this level and imply no category"
NOT_READ = "no image of this breast was read"
NOTHING_READ = "no image of the exam was read"


def concordances(exam: ExamReading, assessments: Iterable[Assessment]) -> tuple[Concordance, ...]:
    """Each assessment beside what the models imply for the same breast, or for the exam where it names no breast.

    Categories agree where both are up to 3 or both above; 0, a recall, stands with above (the first paper's rule, and
    safety's). Agreement in this sense is no agreement of categories.
    """
    return tuple(_concordance(exam, assessment) for assessment in assessments)


def is_discordant(exam: ExamReading) -> bool:
    """Whether the models stand above or below the radiologist anywhere."""
    return any(one.agreement in (Agreement.AI_HIGHER, Agreement.AI_LOWER) for one in exam.concordances)


def _concordance(exam: ExamReading, assessment: Assessment) -> Concordance:
    was_read, likelihood = _of(exam, assessment.laterality)
    implied = likelihood.category if likelihood else None
    if assessment.category is Category.SIX:
        return Concordance(assessment.laterality, assessment, implied, Agreement.NOT_COMPARED, KNOWN_CANCER)
    if implied is None:
        unread = NOT_READ if assessment.laterality else NOTHING_READ
        why = NOT_CALIBRATED if was_read else unread
        return Concordance(assessment.laterality, assessment, None, Agreement.NOT_COMPARED, why)
    return Concordance(assessment.laterality, assessment, implied, _agreement(implied, assessment.category))


def _of(exam: ExamReading, laterality: Laterality | None) -> tuple[bool, Likelihood | None]:
    if laterality is None:
        return exam.malignancy is not None, exam.likelihood
    breast = next((breast for breast in exam.breasts if breast.laterality is laterality), None)
    return breast is not None, breast.likelihood if breast else None


def _agreement(implied: Category, assigned: Category) -> Agreement:
    ours, theirs = is_suspicious(implied), is_suspicious(assigned)
    if ours == theirs:
        return Agreement.AGREE
    return Agreement.AI_HIGHER if ours else Agreement.AI_LOWER
