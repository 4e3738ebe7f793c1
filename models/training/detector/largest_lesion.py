"""How large the lesions are that a detector learns from: a larger outline is doubtful (models/pipeline.py)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from models.anatomy.breast import breast_mask
from models.datasets.case import Case


def largest_lesion(cases: Iterable[Case]) -> float | None:
    """The share of its breast (0..1) that the largest lesion covers, to three digits, rounded up; of a lesion of which
    only a box was drawn, its box.

    Args:
        cases: images that are learned from; those not marked up are passed over, as the training does.

    Returns:
        None where none has a lesion.

    Raises:
        DatasetError: an image cannot be read.
    """
    largest = 0.0
    for case in cases:
        if not case.marked_up:
            continue
        image = case.read()
        if lesions := case.read_lesions(image):
            breast = max(1, int(np.count_nonzero(breast_mask(image.pixels))))
            largest = max(largest, *(lesion.mask.area_px / breast for lesion in lesions))
    return min(1.0, float(np.ceil(1000 * largest)) / 1000) if largest else None
