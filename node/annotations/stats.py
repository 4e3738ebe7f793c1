"""Agreement of proposals and corrections over all corrected images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.measures.detection import Figure, with_intervals
from node.annotations.compared import Comparison

FEWEST_PATIENTS = 10
"""With fewer patients no interval is given: the bootstrap is not reliable."""
_SEED = 0


@dataclass(frozen=True)
class AnnotationStats:
    """Counts are of lesions per image. All fields after `compared` use only images with proposals.

    Attributes:
        images, patients: those with a correction.
        compared: images that the node had read before their correction.
        proposed, drawn: lesions by the node and by the experts.
        kept: lesions in both; `unchanged`: those of them with identical pixels.
        added: drawn and not proposed.
        removed: proposed and removed by the expert.
        dice_mean, dice_median: over the kept lesions; None if there are none. Intervals (95 %, bootstrap by patient)
            are NaN with fewer than FEWEST_PATIENTS patients.
        found: the sensitivity: proposed share of the drawn lesions; None if nothing was drawn.
        right: the precision: kept share of the proposed lesions; None if nothing was proposed.
    """

    images: int
    patients: int
    compared: int
    proposed: int
    drawn: int
    kept: int
    unchanged: int
    added: int
    removed: int
    dice_mean: Figure | None
    dice_median: Figure | None
    found: Figure | None
    right: Figure | None


def annotation_stats(comparisons: Sequence[Comparison]) -> AnnotationStats:
    """Counts, and the measures with their intervals over patients."""
    compared = [comparison for comparison in comparisons if comparison.image.revision is not None]
    patients = [_patient(comparison) for comparison in compared]
    measured = _measured(compared, patients)
    return AnnotationStats(
        images=len(comparisons),
        patients=len({_patient(comparison) for comparison in comparisons}),
        compared=len(compared),
        proposed=sum(len(comparison.kept) + len(comparison.removed) for comparison in compared),
        drawn=sum(len(comparison.drawn) for comparison in compared),
        kept=sum(len(comparison.kept) for comparison in compared),
        unchanged=sum(pair.dice == 1 for comparison in compared for pair in comparison.kept),
        added=sum(len(comparison.added) for comparison in compared),
        removed=sum(len(comparison.removed) for comparison in compared),
        dice_mean=measured[0],
        dice_median=measured[1],
        found=measured[2],
        right=measured[3],
    )


def _measured(compared: Sequence[Comparison], patients: Sequence[str]) -> list[Figure | None]:
    def measure(at: list[int]) -> tuple[float, ...]:
        some = [compared[index] for index in at]
        dices = [pair.dice for comparison in some for pair in comparison.kept]
        added, removed = (
            sum(len(comparison.added) for comparison in some),
            sum(len(comparison.removed) for comparison in some),
        )
        return (
            float(np.mean(dices)) if dices else math.nan,
            float(np.median(dices)) if dices else math.nan,
            _share(len(dices), len(dices) + added),
            _share(len(dices), len(dices) + removed),
        )

    if not compared:
        return [None] * 4
    if len(set(patients)) < FEWEST_PATIENTS:
        figures = [Figure(value, math.nan, math.nan) for value in measure(list(range(len(compared))))]
    else:
        figures = with_intervals(patients, measure, _SEED)
    return [None if math.isnan(figure.value) else figure for figure in figures]


def _patient(comparison: Comparison) -> str:
    return comparison.image.patient_id or comparison.image.study_uid


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
