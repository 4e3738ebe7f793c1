"""What a breast and an exam of several views are worth, learnt from images that stand alone.

A set of single views has no exam whose highest score could be measured, and an image's calibration does not hold for
the highest of four: that is high more often, whatever the patient has. So breasts and exams are put together from the
images of different patients, by the rule of `models/exam.py`: a breast has two views of one sort, malignant or not; an
exam has such a breast and another that is not malignant. Views are taken to be independent given their sort, which
those of one patient are not quite: they resemble one another, and their highest is a little lower than it is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.calibration import Calibration, Level, Method
from models.training.calibrating import Scored, fit_calibration

_ROUNDS = 200
"""So often is each image the first view of a breast or an exam: the draw of the others hardly shows then."""


def calibrate_composed(scored: Sequence[Scored], method: Method, seed: int) -> dict[Level, Calibration]:
    """Calibrations of breasts and exams; their cases are the images that they were put together from.

    Args:
        scored: of it the images, which are of both sorts, malignant and not.
        seed: of the draw.
    """
    images = [one for one in scored if one.level is Level.IMAGE]
    found = {
        level: fit_calibration(level, composed(images, level, seed), method) for level in (Level.BREAST, Level.EXAM)
    }
    return {level: replace(one, cases=len(images)) for level, one in found.items() if one is not None}


def composed(images: Sequence[Scored], level: Level, seed: int) -> list[Scored]:
    """Breasts of two views or exams of four: `_ROUNDS` an image, malignant as it is, its patient standing for all."""
    draw = np.random.default_rng(seed)
    scores = {sort: np.array([one.score for one in images if one.malignant is sort]) for sort in (True, False)}
    made = []
    for one in images:
        views = [np.full(_ROUNDS, one.score), draw.choice(scores[one.malignant], _ROUNDS)]
        if level is Level.EXAM:
            views += [draw.choice(scores[False], _ROUNDS) for _ in range(2)]
        made += [Scored(level, float(score), one.malignant, one.patient) for score in np.max(views, axis=0)]
    return made
