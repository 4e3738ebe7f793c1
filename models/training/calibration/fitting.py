"""Fits calibrations (see models/birads/calibration.py) on scores whose truth is known, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from models.birads.calibration import Calibration, Level, Method, logit
from models.evaluation.reported_scores import ReportedScore, composed
from models.measures.detection import Figure, auc, with_interval
from models.measures.scores import Bools, Floats, weights
from models.training.recipe import CalibrationRecipe

CHANCE = 0.5
"""The area under the ROC curve of random scores."""
_SEED = 1
"""Seed of the interval of that area: the same cases always give the same result."""
_FLAT = 1e-9
"""A slope, or a rise of the probability over all scores, of at most this is a rounding error."""


def calibrate(scored: Sequence[ReportedScore], recipe: CalibrationRecipe) -> tuple[dict[Level, Calibration], list[str]]:
    """A calibration for each level with enough cases and informative scores; a sentence for each other level.

    Scores are informative if the whole 95 % interval (bootstrap by patient) of the area under the ROC curve is above
    chance: a probability from uninformative scores would be misleading.

    Args:
        scored: of patients who were not used in training; if the best epoch was chosen by them, slightly too good.
        recipe: of the calibration.
    """
    if recipe.method == "none":
        return {}, []
    fitted: dict[Level, Calibration] = {}
    missing = []
    for level in Level:
        cases = [case for case in scored if case.level is level]
        malignant = sum(case.malignant for case in cases)
        if not cases:
            continue
        if min(malignant, len(cases) - malignant) < recipe.least:
            missing.append(
                f"Scores of the level {level} are not calibrated: {malignant} malignant and {len(cases) - malignant} "
                f"other cases, but [calibration] least requires {recipe.least} of each."
            )
            continue
        area = _area(cases)
        found = fit_calibration(level, cases, Method(recipe.method), recipe.normals) if area.low > CHANCE else None
        if found is None:
            missing.append(
                f"Scores of the level {level} are not calibrated: those of the {malignant} malignant cases are not "
                f"significantly higher than those of the {len(cases) - malignant} others (area under the ROC curve "
                f"{area.value:.2f}, 95 % interval {area.low:.2f} to {area.high:.2f})."
            )
            continue
        fitted[level] = found
    return fitted, missing


def calibrate_composed(
    scored: Sequence[ReportedScore], method: Method, normals: float | None = None
) -> dict[Level, Calibration]:
    """Calibrations of breasts and exams on single images (`models.evaluation.reported_scores`); their number of cases
    is that of the breasts.

    Args:
        scored: its images and breasts are used; there must be malignant and other ones.
        method: of the calibration.
        normals: see `Calibration.normals`.
    """
    breasts = composed(scored, Level.BREAST)
    by_level = {Level.BREAST: breasts, Level.EXAM: composed(scored, Level.EXAM)}
    fitted = {level: fit_calibration(level, cases, method, normals) for level, cases in by_level.items()}
    return {
        level: replace(found, cases=len(breasts), composed=True) for level, found in fitted.items() if found is not None
    }


def _area(cases: Sequence[ReportedScore]) -> Figure:
    """The area under the ROC curve. With fewer than five patients its interval is NaN, which is not above chance."""
    scores = np.array([case.score for case in cases])
    labels = np.array([case.malignant for case in cases])
    return with_interval([case.patient for case in cases], lambda at: auc(scores[at], labels[at]), _SEED)


def fit_calibration(
    level: Level, cases: Sequence[ReportedScore], method: Method, normals: float | None = None
) -> Calibration | None:
    """A calibration of these cases; there must be malignant and other ones.

    None if the scores do not rise with malignancy: a probability from such scores would be misleading.

    Args:
        normals: see `Calibration.normals`; without effect if there are no normal or no benign cases.
    """
    scores = np.array([case.score for case in cases])
    labels = np.array([case.malignant for case in cases])
    normal = np.array([case.normal for case in cases])
    if normal.all() or not normal.any() or bool((normal == ~labels).all()):
        normals = None
    parameters = _FITS[method](scores, labels, weights(labels, normal, normals))
    if parameters is None:
        return None
    return Calibration(
        level=level,
        method=method,
        parameters=parameters,
        prevalence=float(labels.mean()),
        cases=len(cases),
        patients=len({case.patient for case in cases}),
        normals=normals,
    )


_Parameters = dict[str, tuple[float, ...]]


def _platt(scores: Floats, labels: Bools, weighing: Floats) -> _Parameters | None:
    """Logistic regression on the logits."""
    logits, targets = _logits(scores), _targets(labels)
    regression = LogisticRegression(C=np.inf, max_iter=1000)
    regression.fit(
        np.concatenate((logits, logits))[:, None],
        np.repeat((True, False), len(logits)),
        sample_weight=np.concatenate((weighing * targets, weighing * (1 - targets))),
    )
    slope, offset = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    return {"slope": (slope,), "offset": (offset,)} if slope > _FLAT else None


def _temperature(scores: Floats, labels: Bools, weighing: Floats) -> _Parameters | None:
    """Logistic regression on the logits, with the log odds of the prevalence as offset: only the slope is fitted."""
    logits, targets, offset = _logits(scores), _targets(labels), logit(float(labels.mean()))

    def rise(slope: float) -> float:
        """The derivative of the cross-entropy by the slope; it does not fall with a rising slope."""
        return float(np.sum(weighing * (expit(slope * logits + offset) - targets) * logits))

    if rise(_FLAT) >= 0:
        return None
    high = 1.0
    while rise(high) < 0:
        high *= 2
    return {"slope": (float(brentq(rise, _FLAT, high)),)}


def _isotonic(scores: Floats, labels: Bools, weighing: Floats) -> _Parameters | None:
    regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    regression.fit(scores, labels.astype(float), sample_weight=weighing)
    corners, probabilities = regression.X_thresholds_, regression.y_thresholds_
    if probabilities[-1] - probabilities[0] <= _FLAT:
        return None
    return {"scores": tuple(map(float, corners)), "probabilities": tuple(map(float, probabilities))}


_FITS = {Method.PLATT: _platt, Method.TEMPERATURE: _temperature, Method.ISOTONIC: _isotonic}


def _logits(scores: Floats) -> Floats:
    return np.array([logit(score) for score in scores])


def _targets(labels: Bools) -> Floats:
    """Platt's targets (1999), which are slightly inside 0..1: the slope of perfectly separated scores stays finite."""
    malignant, others = int(labels.sum()), int((~labels).sum())
    return np.where(labels, (malignant + 1) / (malignant + 2), 1 / (others + 2))
