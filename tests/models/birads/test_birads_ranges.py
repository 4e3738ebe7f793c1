"""The BI-RADS range of a probability and the recall by the site's threshold, both by the printed value."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dicom_io.results.labels import percent
from dicom_io.results.own_codes import range_of
from models.birads.calibration import SCREENING_PREVALENCE, Level, prior_of
from models.birads.categories import NIL_IN_BREAST, NIL_IN_EXAM, RANGES, UPPER_LIMITS, implied_category, points_away
from models.birads.caveat import caveat_of, wrong_levels
from models.types.birads import LIMITS, Category, Likelihood, in_percent
from models.types.mammogram import Laterality

PROBABILITIES = st.one_of(
    st.floats(1e-6, 1 - 1e-6),
    st.sampled_from(LIMITS).flatmap(lambda limit: st.floats(0.95 * limit, min(1.05 * limit, 0.9999))),
)
THRESHOLDS = st.one_of(st.just(0.02), st.floats(0.0001, 0.9))


def _decided(probability: float, nil: float, threshold: float) -> tuple[Category, bool]:
    category = implied_category(probability, essentially_nil=nil)
    return category, Likelihood(probability, category).is_recalled(threshold)


@given(PROBABILITIES, PROBABILITIES, st.sampled_from((NIL_IN_BREAST, NIL_IN_EXAM)), THRESHOLDS)
@example(0.01963, 0.02027, NIL_IN_EXAM, 0.02)
@example(0.0999999, 0.1000001, NIL_IN_EXAM, 0.02)
@example(0.00049, 0.00051, NIL_IN_BREAST, 0.0005)
@settings(max_examples=300)
def test_two_probabilities_that_are_printed_alike_always_have_the_same_category_and_recall(
    first: float, second: float, nil: float, threshold: float
) -> None:
    if percent(first, threshold) == percent(second, threshold):
        assert _decided(first, nil, threshold) == _decided(second, nil, threshold)


@given(PROBABILITIES, PROBABILITIES, THRESHOLDS)
@settings(max_examples=200)
def test_a_higher_probability_is_never_printed_lower_nor_recalled_less(
    first: float, second: float, limit: float
) -> None:
    low, high = sorted((first, second))
    assert in_percent(low, limit) <= in_percent(high, limit)
    assert Likelihood(low, Category.THREE).is_recalled(limit) <= Likelihood(high, Category.THREE).is_recalled(limit)


@pytest.mark.parametrize(
    ("probability", "printed", "category"),
    [
        (0.00001, "< 0.1 %", Category.ONE_OR_TWO),
        (0.006, "0.6 %", Category.ONE_OR_TWO),
        (0.00604, "0.604 %", Category.THREE),
        (0.01963, "1.96 %", Category.THREE),
        (0.02, "2.0 %", Category.THREE),
        (0.02027, "2.03 %", Category.FOUR_A),
        (0.1, "10 %", Category.FOUR_A),
        (0.104, "10.4 %", Category.FOUR_B),
        (0.503, "50.3 %", Category.FOUR_C),
        (0.949, "94.9 %", Category.FOUR_C),
        (0.95, "95 %", Category.FIVE),
        (0.9999, "> 99 %", Category.FIVE),
    ],
)
def test_a_probability_near_a_limit_is_printed_with_more_digits(
    probability: float, printed: str, category: Category
) -> None:
    assert percent(probability) == printed
    assert implied_category(probability, essentially_nil=NIL_IN_EXAM) is category


def test_probabilities_are_rounded_by_the_limits_that_decide_their_category() -> None:
    ends = [limit for limit, _ in UPPER_LIMITS]
    assert sorted({NIL_IN_BREAST, NIL_IN_EXAM, *ends, *(high for _, high in RANGES.values() if high < 1)}) == [*LIMITS]
    assert prior_of(Level.BREAST, SCREENING_PREVALENCE) == NIL_IN_BREAST
    assert prior_of(Level.EXAM, SCREENING_PREVALENCE) == NIL_IN_EXAM


@pytest.mark.parametrize("category", RANGES)
def test_a_range_in_words_states_the_limits_that_decide_the_category(category: Category) -> None:
    low, high = RANGES[category]
    words = range_of(category, None).meaning.partition(" %")[0]
    numbers = [float(word) for word in words.split() if word[0].isdigit()]
    assert numbers == pytest.approx([100 * low] if high == 1 else [100 * low, 100 * high])
    assert range_of(category, None).meaning.endswith(f"the range of {category}")


def test_categories_1_and_2_have_the_range_of_their_level() -> None:
    for side, nil in ((Laterality.LEFT, NIL_IN_BREAST), (None, NIL_IN_EXAM)):
        for category in (Category.ONE, Category.TWO, Category.ONE_OR_TWO):
            assert range_of(category, side).meaning.startswith(f"<= {100 * nil:g} %")


@pytest.mark.parametrize(
    ("probability", "category", "away"),
    [
        (0.035, Category.FOUR_A, "0"),
        (0.035, Category.THREE, "1.5"),
        (0.035, Category.FIVE, "-91.5"),
        (0.035, Category.TWO, "2.9"),
        (0.001, Category.ONE, "0"),
        (0.001, Category.FOUR, "-1.9"),
        (0.035, Category.ZERO, None),
        (0.035, Category.SIX, None),
    ],
)
def test_the_distance_of_a_probability_from_the_range_of_a_category_is_stated(
    probability: float, category: Category, away: str | None
) -> None:
    found = points_away(probability, category, NIL_IN_EXAM)
    assert found == (None if away is None else Decimal(away))


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (
            {"patients": 32, "calibration_intercept": [-1.06, -3.59, -0.23]},
            "32 held-out patients they were too high (the odds that they state were about 2.9 times those observed).",
        ),
        (
            {"calibration_intercept": [0.7, 0.1, 2.0]},
            "too low (the odds that they state were about 0.5 times those observed).",
        ),
        ({"calibration_slope": [0.5, 0.2, 0.9]}, "they were too extreme."),
        (
            {"calibration_intercept": [-1.0, -2.0, -0.1], "calibration_slope": [2.0, 1.1, 3.0]},
            "about 2.7 times those observed) and too moderate.",
        ),
        ({"calibration_intercept": [-1.0, -2.0, 0.1], "calibration_slope": [0.8, 0.2, 1.3]}, ""),
        ({"calibration_intercept": [-1.0]}, ""),
        ({}, ""),
    ],
)
def test_a_card_whose_calibration_interval_excludes_the_ideal_states_it(
    figures: dict[str, object], expected: str
) -> None:
    assert expected in caveat_of(figures)
    assert bool(caveat_of(figures)) == bool(expected)


RIGHT = {"calibration_intercept": [0.1, -0.5, 0.6], "calibration_slope": [0.9, 0.6, 1.3]}
WRONG = {"calibration_intercept": [-1.0, -2.0, -0.1], "calibration_slope": [0.9, 0.6, 1.3]}


def of_breasts(figures: dict[str, list[float]]) -> dict[str, list[float]]:
    return {f"breast_{name}": figure for name, figure in figures.items()}


@pytest.mark.parametrize(
    ("figures", "wrong"),
    [
        (RIGHT | of_breasts(RIGHT), {}),
        (WRONG | of_breasts(RIGHT), {Level.IMAGE: "too high"}),
        (RIGHT | of_breasts(WRONG), {Level.BREAST: "too high"}),
        (
            {"calibration_intercept": [0, -1, 1], "calibration_slope": [0.4, 0.1, 0.8]} | of_breasts(RIGHT),
            {Level.IMAGE: "too extreme"},
        ),
        (RIGHT, {Level.BREAST: "not measured"}),
        (
            RIGHT | of_breasts({"calibration_intercept": [0.0], "calibration_slope": [1.0]}),
            {Level.BREAST: "not measured"},
        ),
        ({}, {Level.IMAGE: "not measured", Level.BREAST: "not measured"}),
    ],
)
def test_a_level_is_trusted_only_if_its_own_intervals_hold_the_ideal_values(
    figures: dict[str, object], wrong: dict[Level, str]
) -> None:
    found = wrong_levels([Level.IMAGE, Level.BREAST], figures)
    assert found.keys() == wrong.keys()
    assert all(how.startswith(wrong[level]) for level, how in found.items())
