"""What a breast and an exam are worth, learnt from images that stand alone.

A set of single views has no exam whose highest score could be measured, and the calibration of an image does not hold
for an exam: the highest of two breasts is high more often, whatever the patient has. So exams are put together from the
breasts of two patients, at most one of them malignant. The views of one breast are taken to agree: a breast is worth
what its image is. The node takes the highest of two views that agree but roughly, hence what it says of breasts and
exams is rather too high than too low. (Views taken to be independent would part the malignant breasts from the others
better than one view does, and make a calibration of it that is too sure.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.birads.calibration import Calibration, Level, Method
from models.training.calibration.fitting import ScoredCase, fit_calibration


def calibrate_composed(scored: Sequence[ScoredCase], method: Method) -> dict[Level, Calibration]:
    """Calibrations of breasts and exams; their cases are the images that they were put together from.

    Args:
        scored: of it the images, which are of both sorts, malignant and not.
    """
    images = [scored_exam for scored_exam in scored if scored_exam.level is Level.IMAGE]
    found = {level: fit_calibration(level, composed(images, level), method) for level in (Level.BREAST, Level.EXAM)}
    return {level: replace(one, cases=len(images)) for level, one in found.items() if one is not None}


def composed(images: Sequence[ScoredCase], level: Level) -> list[ScoredCase]:
    """Every image as its breast; or with every other one that is not malignant, as an exam of two breasts."""
    if level is Level.BREAST:
        return [replace(image, level=level) for image in images]
    others = [image for image in images if not image.malignant]
    return [
        ScoredCase(level, max(image.score, other.score), image.malignant, image.patient)
        for image in images
        for other in others
        if other is not image
    ]
