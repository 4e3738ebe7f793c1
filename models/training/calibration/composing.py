"""Calibrates the scores of breasts and exams on single images.

In a data set of single views no exam's score (the highest of its breasts) can be measured, and the calibration of
images is wrong for exams: the highest of two scores is higher, also in healthy patients. So exams are composed from the
breasts of two patients, at most one of them malignant. The views of one breast are assumed to have the same score: a
breast gets its image's score. The node takes the highest of two views, which agree only roughly, so its probabilities
for breasts and exams are too high rather than too low. (If the views were assumed to be independent, the composed
breasts would be easier to separate than real ones, and the calibration would be overconfident.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.birads.calibration import Calibration, Level, Method
from models.training.calibration.fitting import ScoredCase, fit_calibration


def calibrate_composed(scored: Sequence[ScoredCase], method: Method) -> dict[Level, Calibration]:
    """Calibrations of breasts and exams; their number of cases is the number of images.

    Args:
        scored: only its images are used; there must be malignant and other ones.
        method: of the calibration.
    """
    images = [case for case in scored if case.level is Level.IMAGE]
    fitted = {level: fit_calibration(level, composed(images, level), method) for level in (Level.BREAST, Level.EXAM)}
    return {level: replace(found, cases=len(images)) for level, found in fitted.items() if found is not None}


def composed(images: Sequence[ScoredCase], level: Level) -> list[ScoredCase]:
    """Each image as a breast; or each pair of an image and another one that is not malignant, as an exam."""
    if level is Level.BREAST:
        return [replace(image, level=level) for image in images]
    others = [image for image in images if not image.malignant]
    return [
        ScoredCase(level, max(image.score, other.score), image.malignant, image.patient)
        for image in images
        for other in others
        if other is not image
    ]
