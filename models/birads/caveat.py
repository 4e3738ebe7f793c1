"""A sentence of warning for probabilities that were wrong on held-out patients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from models.birads.calibration import Level
from models.types.words import counted

INTERCEPT, SLOPE = "calibration_intercept", "calibration_slope"
"""Measures of a classifier, from a logistic regression of the outcomes on the logits of its images' probabilities, at
the prevalence of the same patients. 0 and 1 are ideal (Van Calster et al., BMC Medicine 2019, 17:230)."""


def line_of(level: Level) -> tuple[str, str]:
    """The names of a level's intercept and slope among a classifier's figures."""
    return (INTERCEPT, SLOPE) if level is Level.IMAGE else (f"{level}_{INTERCEPT}", f"{level}_{SLOPE}")


def wrong_levels(levels: Iterable[Level], figures: Mapping[str, Any]) -> dict[Level, str]:
    """The levels whose probabilities cannot be trusted, and why.

    On held-out patients the 95 % interval of the intercept does not contain 0, or that of the slope does not contain 1,
    or there are too few patients for an interval.

    Args:
        levels: those that are calibrated.
        figures: a classifier's, as in bundle.toml.
    """
    found = {}
    for level in levels:
        intercept, slope = (figures.get(name) for name in line_of(level))
        if _interval(intercept) is None or _interval(slope) is None:
            found[level] = "not measured: there are too few"
        elif faults := [*_too_high_or_low(intercept), *_too_extreme_or_moderate(slope)]:
            found[level] = " and ".join(faults)
    return found


def caveat_of(figures: Mapping[str, Any]) -> str:
    """One sentence if a 95 % interval does not contain the ideal value; empty otherwise, and without an interval.

    Args:
        figures: a classifier's, as in bundle.toml: INTERCEPT and SLOPE as [value, low, high].
    """
    faults = [*_too_high_or_low(figures.get(INTERCEPT)), *_too_extreme_or_moderate(figures.get(SLOPE))]
    patients = figures.get("image: patients", figures.get("patients"))
    of = counted(patients, "held-out patient") if isinstance(patients, int) else "held-out patients"
    return f"On {of} they were {' and '.join(faults)}." if faults else ""


def _too_high_or_low(figure: object) -> list[str]:
    if (found := _interval(figure)) is None:
        return []
    value, low, high = found
    if low <= 0 <= high:
        return []
    stated = f"{math.exp(-value):.2g} times those observed"
    return [f"too {'high' if value < 0 else 'low'} (the odds that they state were about {stated})"]


def _too_extreme_or_moderate(figure: object) -> list[str]:
    if (found := _interval(figure)) is None:
        return []
    value, low, high = found
    if low <= 1 <= high:
        return []
    return ["too extreme" if value < 1 else "too moderate"]


def _interval(figure: object) -> tuple[float, float, float] | None:
    match figure:
        case [float() | int() as value, float() | int() as low, float() | int() as high]:
            return float(value), float(low), float(high)
    return None
