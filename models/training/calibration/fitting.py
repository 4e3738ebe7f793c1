"""Fits calibrations (see models/birads/calibration.py) on scores whose truth is known, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from models.birads.calibration import Calibration, Level, Method, logit
from models.measures.detection import Figure, auc, with_interval
from models.training.recipe import CalibrationRecipe

CHANCE = 0.5
"""The area under the ROC curve of scores that tell nothing."""
_SEED = 1
"""Of the interval of that area: the same cases are always judged alike."""
_FLAT = 1e-9
"""A slope, or a rise of the probability over all scores, that is rounding alone."""


@dataclass(frozen=True)
class ScoredCase:
    """One score whose truth is known.

    Attributes:
        score: the model's, 0..1.
        patient: whose.
    """

    level: Level
    score: float
    malignant: bool
    patient: str


def calibrate(scored: Sequence[ScoredCase], recipe: CalibrationRecipe) -> tuple[dict[Level, Calibration], list[str]]:
    """A calibration for each level that has cases enough and scores that tell; a sentence for each other level.

    Scores tell where the area under the ROC curve of the cases lies above chance with its whole 95 % interval
    (bootstrap by patient): a probability made of others would look like knowledge.

    Args:
        scored: of patients whom the weights have not learned from; where they chose the weights, a little too well off.
    """
    if recipe.method == "none":
        return {}, []
    fitted: dict[Level, Calibration] = {}
    missing = []
    for level in Level:
        cases = [one for one in scored if one.level is level]
        malignant = sum(one.malignant for one in cases)
        if not cases:
            continue
        if min(malignant, len(cases) - malignant) < recipe.least:
            missing.append(
                f"Scores of the level {level} are not calibrated: {malignant} malignant and {len(cases) - malignant} "
                f"other cases, and [calibration] least asks for {recipe.least} of each."
            )
            continue
        area = _area(cases)
        found = fit_calibration(level, cases, Method(recipe.method)) if area.low > CHANCE else None
        if found is None:
            missing.append(
                f"Scores of the level {level} are not calibrated: those of the {malignant} malignant cases are not "
                f"surely higher than those of the {len(cases) - malignant} others (area under the ROC curve "
                f"{area.value:.2f}, 95 % interval {area.low:.2f} to {area.high:.2f})."
            )
            continue
        fitted[level] = found
    return fitted, missing


def _area(cases: Sequence[ScoredCase]) -> Figure:
    """NaN as its interval, of fewer than five patients of either sort, is above nothing."""
    scores = np.array([one.score for one in cases])
    labels = np.array([one.malignant for one in cases])
    return with_interval([one.patient for one in cases], lambda at: auc(scores[at], labels[at]), _SEED)


def fit_calibration(level: Level, cases: Sequence[ScoredCase], method: Method) -> Calibration | None:
    """A calibration of these cases, of which some must be malignant and some not.

    None where the scores do not rise with malignancy: they tell nothing or mislead, and a probability made of them
    would hide it.
    """
    scores = np.array([one.score for one in cases])
    labels = np.array([one.malignant for one in cases])
    parameters = _FITS[method](scores, labels)
    if parameters is None:
        return None
    return Calibration(
        level=level,
        method=method,
        parameters=parameters,
        prevalence=float(labels.mean()),
        cases=len(cases),
        patients=len({one.patient for one in cases}),
    )


_Parameters = dict[str, tuple[float, ...]]


def _platt(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> _Parameters | None:
    """Logistic regression on the logits."""
    logits, targets = _logits(scores), _targets(labels)
    regression = LogisticRegression(C=np.inf, max_iter=1000)
    regression.fit(
        np.concatenate((logits, logits))[:, None],
        np.repeat((True, False), len(logits)),
        sample_weight=np.concatenate((targets, 1 - targets)),
    )
    slope, offset = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    return {"slope": (slope,), "offset": (offset,)} if slope > _FLAT else None


def _temperature(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> _Parameters | None:
    """Logistic regression on the logits whose offset is the log odds of the prevalence: the slope alone is fitted."""
    logits, targets, offset = _logits(scores), _targets(labels), logit(float(labels.mean()))

    def rise(slope: float) -> float:
        """Of the cross-entropy; it never falls where the slope rises."""
        return float(np.sum((expit(slope * logits + offset) - targets) * logits))

    if rise(_FLAT) >= 0:
        return None
    high = 1.0
    while rise(high) < 0:
        high *= 2
    return {"slope": (float(brentq(rise, _FLAT, high)),)}


def _isotonic(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> _Parameters | None:
    regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels.astype(float))
    corners, probabilities = regression.X_thresholds_, regression.y_thresholds_
    if probabilities[-1] - probabilities[0] <= _FLAT:
        return None
    return {"scores": tuple(map(float, corners)), "probabilities": tuple(map(float, probabilities))}


_FITS = {Method.PLATT: _platt, Method.TEMPERATURE: _temperature, Method.ISOTONIC: _isotonic}


def _logits(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([logit(score) for score in scores])


def _targets(labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Every case counts a little as its opposite, as Platt (1999) has it: the slope of perfectly parted scores stays
    finite."""
    malignant, others = int(labels.sum()), int((~labels).sum())
    return np.where(labels, (malignant + 1) / (malignant + 2), 1 / (others + 2))
