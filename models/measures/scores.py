"""Measures of scores against known outcomes (mostly scikit-learn's; NaN where one is not defined)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr
from sklearn.calibration import calibration_curve as sklearn_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    roc_curve,
)

from models.birads.calibration import logit

BINS = 10
"""The number of equally wide bins of the calibration curve and the expected calibration error."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Confusion:
    """Counts of decisions against outcomes."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def accuracy(self) -> float:
        return _share(self.true_positive + self.true_negative, self.total)

    @property
    def precision(self) -> float:
        return _share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float:
        return _share(self.true_negative, self.true_negative + self.false_positive)

    @property
    def f1(self) -> float:
        """NaN without positive outcomes and positive decisions."""
        return _share(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def total(self) -> int:
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative


def confusion(called: Bools, positive: Bools) -> Confusion:
    """Decisions against outcomes. Not scikit-learn's: its checks take a millisecond, 2,000 times per figure."""
    cells = (called & positive, called & ~positive, ~called & positive, ~called & ~positive)
    return Confusion(*(int(np.count_nonzero(cell)) for cell in cells))


def average_precision(scores: Floats, positive: Bools) -> float:
    """The area under the precision–recall curve, as a sum over steps; NaN without positives."""
    return float(average_precision_score(positive, scores)) if positive.any() else float("nan")


def brier(scores: Floats, positive: Bools) -> float:
    """The mean squared difference of score and outcome; NaN without scores."""
    return float(brier_score_loss(positive, scores, labels=[False, True])) if positive.size else float("nan")


def roc(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """False-positive and true-positive rates along the ROC curve."""
    false_rate, true_rate, _ = roc_curve(positive, scores)
    return false_rate, true_rate


def precision_recall(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """Recall and precision along the precision–recall curve."""
    precision, recall, _ = precision_recall_curve(positive, scores)
    return recall, precision


@dataclass(frozen=True)
class CalibrationCurve:
    """For each bin that is not empty: the mean score, the share of positives, and the number of scores in it."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    count: tuple[int, ...]

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al., AAAI 2015): mean |observed − predicted|, weighted by the
        counts."""
        total = sum(self.count)
        bins = zip(self.observed, self.predicted, self.count, strict=True)
        gaps = (abs(observed - predicted) * count for observed, predicted, count in bins)
        return sum(gaps) / total if total else float("nan")


def calibration_curve(scores: Floats, positive: Bools) -> CalibrationCurve:
    """The calibration curve in ten equally wide bins. Scores are 0..1."""
    if not scores.size:
        return CalibrationCurve((), (), ())
    observed, predicted = sklearn_curve(positive, scores, n_bins=BINS, strategy="uniform")
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], scores)  # as scikit-learn does
    counts = np.bincount(bins, minlength=BINS)
    return CalibrationCurve(
        tuple(predicted.tolist()), tuple(observed.tolist()), tuple(int(count) for count in counts if count)
    )


def weights(malignant: Bools, normal: Bools, normals: float | None) -> Floats:
    """Weights of cases with a mean of 1: the normal cases get a share `normals` (0..1 exclusive) of what those that are
    not malignant weigh together. All 1 without that share, or if there are no normal or no benign cases.

    Sets of lesions have far more benign lesions than normal breasts, and screening has far fewer.
    """
    benign = ~malignant & ~normal
    found = np.ones(malignant.size)
    if normals is not None and benign.any() and normal.any():
        others = float((~malignant).sum())
        found[normal] = normals * others / normal.sum()
        found[benign] = (1 - normals) * others / benign.sum()
    return found


def calibration_line(
    probabilities: Floats, positive: Bools, sample_weights: Floats | None = None
) -> tuple[float, float]:
    """Intercept and slope of a logistic regression of the outcomes on the probabilities' logits (0 and 1 are ideal).

    NaN if all outcomes are the same.
    """
    if not 0 < positive.sum() < positive.size:
        return float("nan"), float("nan")
    odds = np.array([[logit(probability)] for probability in probabilities])
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(odds, positive, sample_weight=sample_weights)
    return float(fitted.intercept_[0]), float(fitted.coef_[0, 0])


def threshold_at_sensitivity(scores: Floats, positive: Bools, least: float) -> float:
    """The highest threshold (score ≥ threshold is positive) that finds at least this share of the positives.

    NaN without positives.
    """
    ours = np.sort(scores[positive])[::-1]
    return float(ours[int(np.ceil(least * ours.size - 1e-9)) - 1]) if ours.size else float("nan")


def pearson(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Pearson's r and its two-sided p value; NaN with fewer than three points, or if x or y is constant."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan"), float("nan")
    outcome = pearsonr(x, y)
    return float(outcome.statistic), float(outcome.pvalue)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
