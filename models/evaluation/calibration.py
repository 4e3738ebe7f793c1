"""What a bundle's probabilities are worth on patients with known outcomes, and which BI-RADS categories they imply."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.birads.agreement import IMPLIED
from models.birads.calibration import SCREENING_PREVALENCE, Calibration, Level, prior_of
from models.evaluation.observations import Observation
from models.evaluation.reported_scores import ReportedScore, composed, of_calibration, pairs, scores_of
from models.evaluation.tables import Absent, Cell, Counts, Draws, Row, Table
from models.measures.detection import LEAST_PATIENTS, Figure, with_intervals
from models.measures.scores import brier, calibration_curve, calibration_line, weights

COLUMNS = ("intercept", "slope", "expected calibration error", "Brier score")
NOT_CALIBRATED = "The bundle is not calibrated at this level."
_ONE_SORT = "Malignant and other cases are needed."


def calibration_figures(
    calibration: Calibration, scored: Sequence[ReportedScore], draws: Draws
) -> tuple[Figure, ...] | None:
    """`COLUMNS` of a calibration's probabilities, at the prevalence of the same cases and with the calibration's
    weights, with 95 % intervals by patient; None without both malignant and other cases.

    For composed exams the patients of single breasts are resampled, and the exams composed anew in each draw: so the
    intervals take in the chance of both patients of a pair.

    Args:
        scored: at all levels, of patients that the calibration was not fitted on.
    """
    of_pairs = calibration.composed and calibration.level is Level.EXAM
    cases = composed(scored, Level.BREAST) if of_pairs else of_calibration(scored, calibration)
    malignant = np.array([case.malignant for case in cases], dtype=np.bool_)
    normal = np.array([case.normal for case in cases], dtype=np.bool_)
    scores = np.array([case.score for case in cases])
    firsts = pairs(malignant)[0] if of_pairs else np.arange(malignant.size)
    if not firsts.size or malignant[firsts].all() or not malignant[firsts].any():
        return None
    here = calibration.at_prevalence(float(malignant[firsts].mean()))
    said = np.array([here.probability(score) for score in scores])

    def measure(at: list[int]) -> tuple[float, ...]:
        first, second = pairs(malignant, at) if of_pairs else (np.array(at), np.array(at))
        if not first.size:
            return (math.nan,) * len(COLUMNS)
        chosen = said[np.where(scores[first] >= scores[second], first, second)]
        outcomes, normals = malignant[first], normal[first] & normal[second]
        line = calibration_line(chosen, outcomes, weights(outcomes, normals, calibration.normals))
        return *line, calibration_curve(chosen, outcomes).error, brier(chosen, outcomes)

    patients = [case.patient for case in cases]
    if of_pairs and min(len(_of(patients, malignant)), len(_of(patients, ~malignant))) < LEAST_PATIENTS:
        return tuple(Figure(value, math.nan, math.nan) for value in measure(list(range(len(cases)))))
    return tuple(with_intervals(patients, measure, draws.seed, draws.resamples))


def _of(patients: Sequence[str], chosen: NDArray[np.bool_]) -> set[str]:
    return {patient for patient, is_chosen in zip(patients, chosen, strict=True) if is_chosen}


def calibration_table(
    observations: Sequence[Observation], calibrations: Mapping[Level, Calibration], draws: Draws
) -> Table:
    """Each level's calibration, measured on what the node would report."""
    scored = scores_of(observations)

    def row(level: Level) -> Row:
        if (calibration := calibrations.get(level)) is None:
            return Row(level, (Absent(NOT_CALIBRATED),) * len(COLUMNS))
        found = calibration_figures(calibration, scored, draws)
        cells: tuple[Cell, ...] = (Absent(_ONE_SORT),) * len(COLUMNS) if found is None else found
        return Row(_named(level, calibration), cells, _counts(of_calibration(scored, calibration)))

    return Table(
        "calibration",
        "Calibration",
        COLUMNS,
        tuple(map(row, Level)),
        notes=(
            "Intercept and slope of a logistic regression of the outcomes on the probabilities' logits: 0 and 1 are "
            "ideal; a slope below 1 is that of probabilities that are too extreme. The error is that of ten bins of "
            "equal width. Probabilities are corrected to these data's share of malignant cases. Lesions are the "
            "findings of the detector, as the node reports them.",
        ),
    )


def categories_table(observations: Sequence[Observation], calibrations: Mapping[Level, Calibration]) -> Table:
    """How often each BI-RADS category is implied, by level and outcome, at the prevalence of screening."""
    scored = scores_of(observations)
    rows = []
    for level, calibration in calibrations.items():
        cases = of_calibration(scored, calibration)
        there = calibration.at_prevalence(prior_of(level, SCREENING_PREVALENCE))
        for outcome, some in (
            ("malignant", [case for case in cases if case.malignant]),
            ("benign", [case for case in cases if not case.malignant and not case.normal]),
            ("normal", [case for case in cases if case.normal and not case.malignant]),
        ):
            implied = Counter(there.likelihood(case.score).category for case in some)
            if some:
                cells = tuple(implied[category] / len(some) for category in IMPLIED)
                rows.append(Row(f"{_named(level, calibration)}, {outcome}", cells, _counts(some)))
    if not rows:
        rows = [Row("all", (Absent(NOT_CALIBRATED),) * len(IMPLIED))]
    return Table(
        "categories",
        f"Implied BI-RADS categories at a prevalence of {SCREENING_PREVALENCE:g}",
        tuple(map(str, IMPLIED)),
        tuple(rows),
        percent=True,
        notes=(
            "The share of the cases whose probability lies in the category's range of likelihood. A site has its own "
            "prevalence (`reader.prevalence`). Among these patients malignant cases are far more frequent.",
        ),
    )


def _named(level: Level, calibration: Calibration) -> str:
    return f"{level}, composed of images of different patients" if calibration.composed else str(level)


def _counts(some: Sequence[ReportedScore]) -> Counts:
    return Counts(len({case.patient for case in some}), len(some))
