"""The figures mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.evaluation.measures import ImageResult, auc, froc_score, iou, match, sensitivity, with_interval
from models.types import Box


def test_overlap_is_the_common_share_of_two_boxes() -> None:
    assert iou(Box(0, 0, 10, 10), Box(0, 5, 10, 15)) == pytest.approx(50 / 150)
    assert iou(Box(0, 0, 10, 10), Box(10, 0, 20, 10)) == 0


def test_a_proposal_finds_the_lesion_it_overlaps_most_or_none() -> None:
    lesions = [Box(0, 0, 10, 10), Box(0, 8, 10, 20)]
    proposals = [(Box(0, 9, 10, 20), 0.9), (Box(50, 50, 60, 60), 0.8)]
    assert match(proposals, lesions) == ((0.9, 1), (0.8, None))
    assert match(proposals[:1], []) == ((0.9, None),)


def test_sensitivity_is_read_at_the_lowest_threshold_that_keeps_to_the_false_positives() -> None:
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


def test_the_interval_draws_whole_patients_and_repeats_with_its_seed() -> None:
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


def test_draws_in_which_a_figure_is_not_defined_are_counted() -> None:
    figure = with_interval(list("abcdef"), lambda at: 1.0 if 0 in at else math.nan, seed=1, resamples=100)
    assert (figure.low, figure.high) == (1, 1)
    assert 10 < figure.undefined < 60  # a sixth is not drawn in (5/6)^6 of them
