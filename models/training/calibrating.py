"""Fits calibrations (see models/calibration.py) on the scores of validation patients, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from models.calibration import Calibration, Level, Method, logit
from models.training.recipe import CalibrationRecipe


@dataclass(frozen=True)
class Scored:
    """One score whose truth is known.

    Attributes:
        score: the model's, 0..1.
        patient: whose.
    """

    level: Level
    score: float
    malignant: bool
    patient: str


def calibrate(scored: Sequence[Scored], recipe: CalibrationRecipe) -> tuple[dict[Level, Calibration], list[str]]:
    """A calibration for each level that has cases enough, and a sentence for each level that has not.

    Args:
        scored: of validation patients; where the weights were chosen by the same patients, a little too well off.
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
                f"other validation cases, and [calibration] least asks for {recipe.least} of each."
            )
            continue
        fitted[level] = fit_calibration(level, cases, Method(recipe.method))
    return fitted, missing


def fit_calibration(level: Level, cases: Sequence[Scored], method: Method) -> Calibration:
    """A calibration of these cases, of which some must be malignant and some not."""
    scores = np.array([one.score for one in cases])
    labels = np.array([one.malignant for one in cases])
    return Calibration(
        level=level,
        method=method,
        parameters=_isotonic(scores, labels) if method is Method.ISOTONIC else _line(scores, labels, method),
        prevalence=float(labels.mean()),
        cases=len(cases),
        patients=len({one.patient for one in cases}),
    )


def _line(scores: NDArray[np.float64], labels: NDArray[np.bool_], method: Method) -> dict[str, tuple[float, ...]]:
    """Logistic regression on the logits.

    Every case counts a little as its opposite, as Platt (1999) has it, so that the slope of perfectly parted scores
    stays finite; and a slope below 0, which would turn the scores' order round, is taken for none.
    """
    logits = np.array([logit(score) for score in scores])[:, None]
    counts = {True: int(labels.sum()), False: int((~labels).sum())}
    surely = np.array([(counts[bool(label)] + 1) / (counts[bool(label)] + 2) for label in labels])
    regression = LogisticRegression(C=np.inf, fit_intercept=method is Method.PLATT, max_iter=1000)
    regression.fit(
        np.concatenate((logits, logits)),
        np.concatenate((labels, ~labels)),
        sample_weight=np.concatenate((surely, 1 - surely)),
    )
    slope, offset = float(regression.coef_[0, 0]), float(np.ravel(regression.intercept_)[0])
    if slope <= 0:
        slope, offset = 0.0, logit(float(labels.mean()))
    return {"slope": (slope,), "offset": (offset,)} if method is Method.PLATT else {"slope": (slope,)}


def _isotonic(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> dict[str, tuple[float, ...]]:
    regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels.astype(float))
    return {
        "scores": tuple(float(one) for one in regression.X_thresholds_),
        "probabilities": tuple(float(one) for one in regression.y_thresholds_),
    }
