"""The definitions of the measures."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.measures.detection import (
    ImageResult,
    auc,
    froc_score,
    iou,
    match,
    sensitivity,
    with_interval,
    with_intervals,
)
from models.measures.scores import pearson
from models.types.region import Box

Measure = Callable[[list[int]], float]


def test_overlap_is_the_common_share_of_two_boxes() -> None:
    assert iou(Box(0, 0, 10, 10), Box(0, 5, 10, 15)) == pytest.approx(50 / 150)
    assert iou(Box(0, 0, 10, 10), Box(10, 0, 20, 10)) == 0


def test_a_proposal_matches_the_lesion_it_overlaps_most_or_none() -> None:
    lesions = [Box(0, 0, 10, 10), Box(0, 8, 10, 20)]
    proposals = [(Box(0, 9, 10, 20), 0.9), (Box(50, 50, 60, 60), 0.8)]
    assert match(proposals, lesions) == ((0.9, 1), (0.8, None))
    assert match(proposals[:1], []) == ((0.9, None),)


def test_sensitivity_is_taken_at_the_lowest_threshold_within_the_allowed_false_positives() -> None:
    results = [
        ImageResult("a", 2, ((0.9, 0), (0.8, None), (0.3, 1), (0.2, None))),
        ImageResult("b", 1, ((0.7, None), (0.6, 0))),
    ]
    assert sensitivity(results, 0) == pytest.approx(1 / 3)
    assert sensitivity(results, 0.5) == pytest.approx(1 / 3)
    assert sensitivity(results, 1) == 1
    assert froc_score(results) == pytest.approx((1 / 3 + 1 / 3 + 1 + 1 + 1) / 5)


def test_a_lesion_found_twice_counts_once_and_is_no_false_positive() -> None:
    assert sensitivity([ImageResult("a", 2, ((0.9, 0), (0.8, 0)))], 0) == 0.5


def test_without_lesions_there_is_no_sensitivity() -> None:
    assert math.isnan(sensitivity([ImageResult("a", 0, ())], 1))


def test_the_area_under_the_curve_counts_pairs_in_the_right_order_and_ties_half() -> None:
    scores, positive = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    assert auc(scores, positive) == pytest.approx(3.5 / 4)


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_the_area_under_the_curve_equals_that_of_scikit_learn(digits: int) -> None:
    draw = np.random.default_rng(1)
    for _ in range(20):
        scores, positive = draw.random(30).round(digits), draw.permutation(30) < draw.integers(1, 30)
        assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_the_interval_samples_whole_patients_and_is_reproducible_by_its_seed() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    patients = ["a", "a", "b", "c", "d", "e"]
    figure = with_interval(patients, lambda at: float(values[at].mean()), seed=1)
    assert figure.value == 0.5
    assert figure.low < 0.5 < figure.high
    assert figure == with_interval(patients, lambda at: float(values[at].mean()), seed=1)
    assert figure.undefined == 0


def test_too_few_patients_have_no_interval() -> None:
    few = with_interval(["a", "a", "b", "c", "d", "d"], lambda at: len(at) / 6, seed=1)
    assert few.value == 1
    assert few.bare
    assert math.isnan(few.high)


def _auc_of(scores: list[float], positive: list[bool]) -> Measure:
    scored, labelled = np.array(scores), np.array(positive)
    return lambda at: auc(scored[at], labelled[at])


def _mean_of(values: list[float]) -> Measure:
    known = np.array(values)
    return lambda at: float(np.mean(some)) if (some := known[at][~np.isnan(known[at])]).size else math.nan


NAN = math.nan


@pytest.mark.parametrize(
    ("measure", "has_one"),
    [
        (_mean_of([0.8, *[NAN] * 29]), False),
        (_mean_of([0.8, 0.9, 0.7, 0.6, *[NAN] * 26]), False),
        (_mean_of([*[NAN] * 25, 0.8, 0.9, 0.7, 0.6, 0.5]), True),
        (_auc_of([0.9, *[0.1] * 29], [True, *[False] * 29]), False),
        (_auc_of([0.9] * 4 + [0.1] * 26, [True] * 4 + [False] * 26), False),
        (_auc_of([0.9] * 26 + [0.1] * 4, [True] * 26 + [False] * 4), False),
        (_auc_of([0.9] * 5 + [0.1] * 25, [True] * 5 + [False] * 25), True),
        (lambda at: pearson(at, [(7 * index) % 30 for index in at])[0], True),
        (lambda at: pearson(at[:4], [1, 5, 2, 4][: len(at[:4])])[0] if max(at) > 3 else NAN, True),
    ],
    ids=["one", "four", "five", "one ill", "four ill", "four well", "five ill", "correlation", "of the first"],
)
def test_a_figure_of_too_few_patients_has_no_interval_even_if_many_are_measured(
    measure: Measure, has_one: bool
) -> None:
    """Patients without a value do not change the figure in any bootstrap sample."""
    patients = [str(number) for number in range(30)]
    everyone, its_own = with_intervals(patients, lambda at: (len(at) / 30, measure(at)), seed=1, resamples=200)
    assert not everyone.bare
    assert its_own.bare is not has_one
    assert not math.isnan(its_own.value)


def test_a_patient_of_unknown_pathology_is_neither_malignant_nor_benign() -> None:
    scores, positive = [NAN] * 3 + [0.9] * 4 + [0.1] * 9, [False] * 3 + [True] * 4 + [False] * 9
    known = ~np.isnan(scores)

    def measure(at: list[int]) -> float:
        some = [index for index in at if known[index]]
        return _auc_of(scores, positive)(some)

    assert with_interval([str(index) for index in range(16)], measure, seed=1, resamples=50).bare


def test_bootstrap_samples_with_an_undefined_figure_are_counted() -> None:
    patients = [*"abcdefghijklmnopqrst"]
    figure = with_interval(patients, lambda at: 1.0 if min(at) < 5 else math.nan, seed=1, resamples=4000)
    assert (figure.low, figure.high) == (1, 1)
    assert 1 < figure.undefined < 40  # a quarter of the patients is missing from (3/4)^20 of the samples
