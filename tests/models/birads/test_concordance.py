"""Models and radiologist agree on recall, or one of them alone recalls, or they are not compared for a reason."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from models.birads.concordance import (
    KNOWN_CANCER,
    NOT_CALIBRATED,
    NOT_READ,
    NOTHING_READ,
    concordances,
    is_discordant,
)
from models.types.birads import Agreement, Assessment, Category, Concordance, Likelihood
from models.types.exam import BreastReading, ExamReading
from models.types.mammogram import Laterality

L, R = Laterality.LEFT, Laterality.RIGHT
PROBABILITIES = {
    Category.ONE_OR_TWO: 0.001,
    Category.THREE: 0.01,
    Category.FOUR_A: 0.05,
    Category.FOUR_B: 0.3,
    Category.FOUR_C: 0.7,
    Category.FIVE: 0.97,
}


def exam(left: Category | None, whole: Category | None = None, *, read: bool = True) -> ExamReading:
    """An exam of a left breast with probabilities in these categories' ranges; None: not calibrated."""
    breast = BreastReading(L, 0.5, worth(left))
    return ExamReading(
        images=(),
        unread=(),
        missing=(),
        breasts=(breast,) if read else (),
        malignancy=0.5 if read else None,
        likelihood=worth(whole),
    )


def worth(category: Category | None) -> Likelihood | None:
    return Likelihood(PROBABILITIES[category], category) if category else None


def compared(reading: ExamReading, assigned: Category, side: Laterality | None = L) -> Concordance:
    (concordance,) = concordances(reading, [Assessment(side, assigned, "SR")])
    return concordance


@pytest.mark.parametrize(
    ("implied", "assigned", "agreement"),
    [
        (Category.ONE_OR_TWO, Category.ONE, Agreement.AGREE),
        (Category.ONE_OR_TWO, Category.THREE, Agreement.AGREE),
        (Category.THREE, Category.TWO, Agreement.AGREE),
        (Category.FOUR_A, Category.FIVE, Agreement.AGREE),
        (Category.FOUR_C, Category.FOUR, Agreement.AGREE),
        (Category.FIVE, Category.ZERO, Agreement.AGREE),
        (Category.FOUR_A, Category.THREE, Agreement.AI_HIGHER),
        (Category.FIVE, Category.ONE, Agreement.AI_HIGHER),
        (Category.THREE, Category.FOUR_A, Agreement.AI_LOWER),
        (Category.ONE_OR_TWO, Category.ZERO, Agreement.AI_LOWER),
    ],
)
def test_categories_up_to_3_disagree_with_above_3_and_a_recall_agrees_with_above_3(
    implied: Category, assigned: Category, agreement: Agreement
) -> None:
    concordance = compared(exam(implied), assigned)
    assert (concordance.agreement, concordance.likelihood, concordance.why) == (agreement, worth(implied), "")
    assert is_discordant(_with(exam(implied), concordance)) is (agreement is not Agreement.AGREE)


def test_category_6_is_left_out_and_does_not_count_as_discordant() -> None:
    concordance = compared(exam(Category.ONE_OR_TWO), Category.SIX)
    assert (concordance.agreement, concordance.why) == (Agreement.NOT_COMPARED, KNOWN_CANCER)
    assert not is_discordant(_with(exam(Category.ONE_OR_TWO), concordance))


def test_a_score_that_implies_no_category_is_not_compared_and_the_reason_is_stated() -> None:
    assert compared(exam(None), Category.FIVE).why == NOT_CALIBRATED
    assert compared(exam(Category.FIVE), Category.TWO, R).why == NOT_READ
    assert compared(exam(None, read=False), Category.TWO, None).why == NOTHING_READ
    assert compared(exam(None), Category.FIVE).likelihood is None
    assert compared(exam(None), Category.FIVE).points_away is None


def test_an_assessment_of_the_exam_is_compared_with_the_score_of_the_exam() -> None:
    concordance = compared(exam(Category.ONE_OR_TWO, Category.FOUR_B), Category.TWO, None)
    assert (concordance.agreement, concordance.likelihood) == (Agreement.AI_HIGHER, worth(Category.FOUR_B))


def test_the_recall_of_the_models_follows_the_threshold_of_the_site() -> None:
    at_5_percent = exam(Category.FOUR_A)
    for threshold, agreement in ((0.02, Agreement.AI_HIGHER), (0.05, Agreement.AGREE), (0.049, Agreement.AI_HIGHER)):
        assert compared(replace(at_5_percent, recall_threshold=threshold), Category.TWO).agreement is agreement


@pytest.mark.parametrize(
    ("assigned", "away"),
    [
        (Category.FOUR_A, Decimal(0)),
        (Category.FOUR, Decimal(0)),
        (Category.FOUR_B, Decimal("-5.0")),
        (Category.TWO, Decimal("4.7")),
        (Category.ZERO, None),
    ],
)
def test_the_distance_of_the_probability_from_the_range_of_the_assigned_category_is_stated(
    assigned: Category, away: Decimal | None
) -> None:
    assert compared(exam(Category.FOUR_A), assigned).points_away == away


def _with(reading: ExamReading, concordance: Concordance) -> ExamReading:
    return ExamReading(
        images=(),
        unread=(),
        missing=(),
        breasts=reading.breasts,
        malignancy=reading.malignancy,
        concordances=(concordance,),
    )
