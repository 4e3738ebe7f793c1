"""The size of the largest lesion in a detector's training data: a larger outline is implausible
(models/pipeline.py)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from models.anatomy.breast import breast_mask_of
from models.datasets.case import Case


def largest_lesion(cases: Iterable[Case]) -> float | None:
    """The largest share of its breast (0..1) that a lesion covers, rounded up to three decimals; a lesion of which only
    a box was drawn counts with its box.

    Args:
        cases: training images; those not marked up are skipped, as in training.

    Returns:
        The share; None if no image has a lesion.

    Raises:
        DatasetError: an image cannot be read.
    """
    largest = 0.0
    for case in cases:
        if not case.marked_up:
            continue
        image = case.read()
        if lesions := case.read_lesions(image):
            breast = max(1, int(np.count_nonzero(breast_mask_of(image))))
            largest = max(largest, *(lesion.mask.area_px / breast for lesion in lesions))
    return min(1.0, float(np.ceil(1000 * largest)) / 1000) if largest else None
