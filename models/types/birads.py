"""BI-RADS categories, calibrated probabilities, and the comparison of a radiologist's category with a probability."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from models.types.mammogram import Laterality


class Category(StrEnum):
    """A BI-RADS assessment category (ACR BI-RADS Atlas, 5th edition, 2013).

    A radiologist can assign all of them except ONE_OR_TWO. A calibrated probability is in the likelihood range of
    ONE_OR_TWO, THREE, FOUR_A, FOUR_B, FOUR_C or FIVE (models/birads/categories.py).
    """

    ZERO = "0"
    """Incomplete: needs more imaging, a recall."""
    ONE = "1"
    TWO = "2"
    ONE_OR_TWO = "1-2"
    """Negative or benign: a score cannot distinguish the two."""
    THREE = "3"
    FOUR = "4"
    FOUR_A = "4A"
    FOUR_B = "4B"
    FOUR_C = "4C"
    FIVE = "5"
    SIX = "6"
    """Known cancer."""


SEVERITY = (
    Category.ONE, Category.TWO, Category.THREE, Category.SIX, Category.ZERO,
    Category.FOUR_A, Category.FOUR, Category.FOUR_B, Category.FOUR_C, Category.FIVE,
)  # fmt: skip
"""Assigned categories by rising urgency of the recommended action: a breast or an exam with several categories gets the
last one of them.

A recall (0) is above 3 and below a biopsy (4); 4 without a letter is between 4A and 4B; known cancer (6) is below 0, 4
and 5, so that it does not hide a new suspicious finding, and above 1 to 3, because a breast with a cancer is not benign
(ACR BI-RADS Atlas, 5th edition, guidance on reports with several categories).
"""


def most_severe(categories: Iterable[Category]) -> Category:
    """The most severe of the categories (at least one): the last of them in SEVERITY."""
    return max(categories, key=SEVERITY.index)


RECALL_THRESHOLD = 0.02
"""The default probability above which a site recalls: the upper limit of category 3, whose findings get a follow-up and
no work-up (ACR BI-RADS Atlas, 5th edition)."""


LIMITS = (0.003, 0.006, 0.02, 0.10, 0.50, 0.95)
"""The limits between the likelihood ranges of the categories (models.birads.categories has their names)."""
_MOST_DIGITS = 6


def in_percent(probability: float, recall_threshold: float = RECALL_THRESHOLD) -> Decimal:
    """A probability (0..1) in percent, rounded once: the same value is printed and decides category and recall.

    One decimal below 10 %, none above; more if rounding would cross or reach a limit between two decisions. So two
    equal printed values are never on two sides of a limit.
    """
    exact = written(probability) * 100
    limits = [100 * written(limit) for limit in (*LIMITS, recall_threshold)]
    fewest = 0 if exact >= Decimal("9.95") else 1
    found = round(exact, fewest)
    for digits in range(fewest, _MOST_DIGITS + 1):
        found = round(exact, digits)
        if all(found.compare(limit) == exact.compare(limit) for limit in limits):
            break
    return found


def written(number: float) -> Decimal:
    """A number with its shortest decimal representation: 0.07 and not 0.07000000000000001."""
    return Decimal(repr(float(number)))


@dataclass(frozen=True)
class Likelihood:
    """The probability of a calibrated score, at the level (lesion, image, breast, exam) of its calibration.

    Attributes:
        probability: of malignancy, 0..1 exclusive, at the prevalence that the reading states.
        category: the category whose likelihood range holds the probability; this is not an assessment.
    """

    probability: float
    category: Category

    def is_recalled(self, recall_threshold: float) -> bool:
        """Whether the probability is above a site's recall threshold (0..1), both as printed."""
        return in_percent(self.probability, recall_threshold) > 100 * written(recall_threshold)


class AssessmentSource(StrEnum):
    """How a radiologist's assessment was received."""

    SR = "SR"
    HL7 = "HL7"
    CSV = "CSV"


@dataclass(frozen=True)
class Assessment:
    """A radiologist's BI-RADS category.

    Attributes:
        laterality: the breast it is about; None: the exam.
        source: how it was received.
        sop_instance_uid: of the document that holds it, if that is a DICOM object of the study.
    """

    laterality: Laterality | None
    category: Category
    source: AssessmentSource
    sop_instance_uid: str | None = None


class Agreement(StrEnum):
    """Agreement on recall: the models' probability above the site's threshold, the radiologist's category above 3 or
    0."""

    AGREE = "agree on recall"
    AI_HIGHER = "AI alone recalls"
    AI_LOWER = "radiologist alone recalls"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True)
class Concordance:
    """An assessment compared with the models' probability for one breast or (laterality None) the exam.

    Attributes:
        likelihood: the models'; None if it is not calibrated or nothing was read.
        points_away: distance of the probability from the range of the assigned category in percentage points: positive
            above it, negative below it, 0 within it; None if the category has no range (0, 6) or without a probability.
        why: the reason for NOT_COMPARED, one sentence; otherwise empty.
    """

    laterality: Laterality | None
    assessment: Assessment
    likelihood: Likelihood | None
    agreement: Agreement
    points_away: Decimal | None = None
    why: str = ""
