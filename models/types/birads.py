"""BI-RADS categories, what a probability says in their terms, and a radiologist's category held against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from models.types.mammogram import Laterality


class Category(StrEnum):
    """A BI-RADS assessment category (ACR BI-RADS Atlas, 5th edition, 2013).

    A radiologist assigns each of them but ONE_OR_TWO; a calibrated probability lies in the likelihood range of
    ONE_OR_TWO, THREE, FOUR_A, FOUR_B, FOUR_C or FIVE (models/birads/categories.py).
    """

    ZERO = "0"
    """Incomplete: needs more imaging, a recall."""
    ONE = "1"
    TWO = "2"
    ONE_OR_TWO = "1-2"
    """A score cannot tell negative from benign."""
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
"""Assigned categories by the urgency of what they call for, rising: the last one stands for a breast, or an exam, with
several.

A recall (0) stands above 3 and below a biopsy (4); 4 without a letter between 4A and 4B; known cancer (6) below all
that is new, so that it hides nothing that calls for more, and above 1 to 3, which a breast with a cancer is not (ACR
BI-RADS Atlas, 5th edition, guidance on reports with several categories).
"""


def most_severe(categories: Iterable[Category]) -> Category:
    """The category that stands for several, of which there is at least one: the last of them in SEVERITY."""
    return max(categories, key=SEVERITY.index)


RECALL_THRESHOLD = 0.02
"""The probability above which a site recalls, where it sets no other: the upper end of category 3, whose finding is
followed up and not worked up (ACR BI-RADS Atlas, 5th edition)."""


LIMITS = (0.003, 0.006, 0.02, 0.10, 0.50, 0.95)
"""The likelihoods at which one category's range ends and the next begins (models.birads.categories has their names)."""
_MOST_DIGITS = 6


def in_percent(probability: float, recall_threshold: float = RECALL_THRESHOLD) -> Decimal:
    """A probability (0..1) in percent, rounded once: this value is printed, and it decides category and recall.

    One digit after the point below 10 %, none above; more where rounding would cross, or reach, a limit between two
    decisions. So two figures that are printed alike never fall on two sides of one.
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
    """A number as it is written: 0.07 and not 0.07000000000000001."""
    return Decimal(repr(float(number)))


@dataclass(frozen=True)
class Likelihood:
    """What a calibrated score stands for, at the level (lesion, image, breast, exam) that it was calibrated at.

    Attributes:
        probability: of malignancy, 0..1 exclusive, at the prevalence that the reading names.
        category: the one whose likelihood range holds the probability; no assessment.
    """

    probability: float
    category: Category

    def is_recalled(self, recall_threshold: float) -> bool:
        """Whether the probability lies above a site's recall threshold (0..1), both as they are printed."""
        return in_percent(self.probability, recall_threshold) > 100 * written(recall_threshold)


@dataclass(frozen=True)
class Assessment:
    """A radiologist's BI-RADS category.

    Attributes:
        laterality: the breast it is about; None: the exam.
        source: how it came: "SR", "HL7" or "CSV".
        sop_instance_uid: of the document that holds it, where that is a DICOM object of the study.
    """

    laterality: Laterality | None
    category: Category
    source: str
    sop_instance_uid: str | None = None


class Agreement(StrEnum):
    """Whether both recall: the models above the site's threshold, the radiologist above 3 or with 0."""

    AGREE = "agree on recall"
    AI_HIGHER = "AI alone recalls"
    AI_LOWER = "radiologist alone recalls"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True)
class Concordance:
    """An assessment held against what the models say of one breast or (laterality None) the exam.

    Attributes:
        likelihood: the models'; None where nothing is calibrated or read.
        points_away: percentage points by which the probability lies above (below 0: under) the range of the assigned
            category, 0 within it; None where that has none (0, 6) or there is no probability.
        why: of NOT_COMPARED, one sentence; otherwise empty.
    """

    laterality: Laterality | None
    assessment: Assessment
    likelihood: Likelihood | None
    agreement: Agreement
    points_away: Decimal | None = None
    why: str = ""
