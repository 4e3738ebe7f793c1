"""Scores against outcomes: figures as in scikit-learn, and cases that it does not define."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from models.measures.scores import (
    average_precision,
    calibration_curve,
    confusion,
    pearson,
    threshold_at_sensitivity,
)

SCORES = np.array([0.9, 0.8, 0.7, 0.4, 0.3, 0.2])
POSITIVE = np.array([True, False, True, True, False, False])


def test_decisions_are_counted_as_scikit_learn_counts_them() -> None:
    called = SCORES >= 0.5
    table = confusion(called, POSITIVE)
    assert (table.true_positive, table.false_positive, table.false_negative, table.true_negative) == (2, 1, 1, 2)
    assert table.accuracy == accuracy_score(POSITIVE, called)
    assert table.f1 == f1_score(POSITIVE, called)
    assert table.precision == precision_score(POSITIVE, called)
    assert table.recall == recall_score(POSITIVE, called)


def test_an_undefined_measure_is_nan() -> None:
    nothing = confusion(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool))
    assert nothing.accuracy == 1
    assert all(math.isnan(value) for value in (nothing.precision, nothing.recall, nothing.f1))
    assert math.isnan(average_precision(SCORES, np.zeros(6, dtype=bool)))
    assert math.isnan(threshold_at_sensitivity(SCORES, np.zeros(6, dtype=bool), 0.9))
    assert math.isnan(calibration_curve(np.empty(0), np.empty(0, dtype=bool)).error)


def test_the_calibration_error_weights_each_bin_by_its_count() -> None:
    scores = np.array([0.05, 0.05, 0.05, 0.95])
    positive = np.array([False, False, True, True])
    curve = calibration_curve(scores, positive)
    assert curve.count == (3, 1)
    assert curve.error == pytest.approx(0.75 * abs(1 / 3 - 0.05) + 0.25 * 0.05)


def test_scores_on_the_edges_of_bins_are_counted_as_in_scikit_learn() -> None:
    scores = np.array([0.0, 0.1, 0.2, 0.5, 1.0])
    curve = calibration_curve(scores, np.array([False, False, True, True, True]))
    assert sum(curve.count) == 5
    assert len(curve.count) == len(curve.predicted)


@pytest.mark.parametrize(("least", "threshold"), [(0.3, 0.9), (0.6, 0.7), (1.0, 0.4)])
def test_the_threshold_at_a_sensitivity_is_the_highest_that_reaches_it(least: float, threshold: float) -> None:
    assert threshold_at_sensitivity(SCORES, POSITIVE, least) == threshold


def test_a_correlation_needs_three_points_that_differ() -> None:
    assert pearson([1, 2, 3, 4], [1, 2, 3, 5])[0] > 0.9
    assert math.isnan(pearson([1, 2], [1, 2])[0])
    assert math.isnan(pearson([1, 1, 1], [1, 2, 3])[0])
