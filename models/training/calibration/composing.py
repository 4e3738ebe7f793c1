"""Calibrates the scores of breasts and exams on single images.

In a data set of single views no exam's score (the highest of its breasts) can be measured, and the calibration of
images is wrong for exams: the highest of two scores is higher, also in healthy patients. So exams are composed from the
breasts of two patients, at most one of them malignant. A breast of which there is a
single view gets its image's score: both views are assumed to have the same. The node takes the highest of two views,
which agree only roughly, so its probabilities for breasts and exams are too high rather than too low. (If the views
were assumed to be independent, the composed breasts would be easier to separate than real ones, and the calibration
would be overconfident.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.birads.calibration import Calibration, Level, Method
from models.training.calibration.fitting import ScoredCase, fit_calibration


def calibrate_composed(
    scored: Sequence[ScoredCase], method: Method, normals: float | None = None
) -> dict[Level, Calibration]:
    """Calibrations of breasts and exams; their number of cases is that of the breasts.

    Args:
        scored: its images and breasts are used; there must be malignant and other ones.
        method: of the calibration.
        normals: see `Calibration.normals`.
    """
    breasts = composed(scored, Level.BREAST)
    by_level = {Level.BREAST: breasts, Level.EXAM: composed(scored, Level.EXAM)}
    fitted = {level: fit_calibration(level, cases, method, normals) for level, cases in by_level.items()}
    return {level: replace(found, cases=len(breasts)) for level, found in fitted.items() if found is not None}


def composed(scored: Sequence[ScoredCase], level: Level) -> list[ScoredCase]:
    """The breasts of two views, and each other image as a breast; or each pair of such a breast and another one that is
    not malignant, as an exam."""
    breasts = [
        replace(case, level=Level.BREAST)
        for case in scored
        if case.level is Level.BREAST or (case.level is Level.IMAGE and case.alone)
    ]
    if level is Level.BREAST:
        return breasts
    others = [breast for breast in breasts if not breast.malignant]
    return [
        ScoredCase(
            level, max(breast.score, other.score), breast.malignant, breast.patient, breast.normal and other.normal
        )
        for breast in breasts
        for other in others
        if other is not breast
    ]
