"""Measures a newly trained part on the held-out patients: the few figures that are stored in the bundle.

`mammo-node evaluate` measures everything else.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from models.birads.calibration import Calibration, Level
from models.birads.caveat import line_of
from models.bundles.bundle import ROLES, Bundle
from models.datasets.case import Case
from models.evaluation.calibration import calibration_figures
from models.evaluation.decisions import AREA_COLUMNS, area_row
from models.evaluation.detection import FROC_COLUMNS, froc_row, measured_images
from models.evaluation.evaluation import observe_bundle
from models.evaluation.malignancy import why_no_scores
from models.evaluation.observations import EvaluationError, Observation
from models.evaluation.reported_scores import ReportedScore, scores_of
from models.evaluation.scored import levels
from models.evaluation.segmentation import by_true_box, overlap_row
from models.evaluation.tables import Absent, Draws, Row
from models.measures.detection import Figure
from models.training.recipe import Progress, Recipe

_SEED, _RESAMPLES = 1, 500
_OVERLAPS = ("Dice", "IoU", "boundary IoU")


def measure(
    recipe: Recipe, bundle: Bundle, test: Sequence[Case], folder: Path, device: torch.device, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """The figures of the recipe's part, with its weights as stored in the bundle.

    A classifier is measured with the findings of the bundle's other parts, since an image's score may depend on them,
    and the lines of its calibration are among its figures.

    Args:
        folder: for the results of each image; results of an earlier call are deleted.

    Returns:
        Counts (integers) and figures: value, low and high end of the 95 % interval, bootstrap by patient (only the
        value if there are too few patients); and a sentence for each figure that could not be measured.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        roles = ROLES if recipe.kind == "classifier" else (recipe.kind,)
        seen = observe_bundle(bundle, test, None, folder, device, False, progress, roles).test
    except EvaluationError as error:
        return {}, [f"Nothing was measured on the held-out patients: {error}"]
    figures, missing = figures_of(recipe.kind, seen)
    if recipe.kind == "classifier":
        figures |= calibration_lines(bundle.calibration, scores_of(seen))
    return figures, missing


def figures_of(kind: str, seen: Sequence[Observation]) -> tuple[dict[str, Any], list[str]]:
    """The same, from what was observed. Where figures are of several levels, each level has its own counts ("breast:
    patients")."""
    found: dict[str, Any] = {}
    missing: list[str] = []
    for row, names, level in _rows(kind, seen):
        counts = row.counts
        if counts is not None and any(isinstance(cell, Figure) for cell in row.cells):
            of = f"{level}: " if level else ""
            found |= {f"{of}patients": counts.patients, f"{of}images": counts.images}
            found |= {f"{of}lesions": counts.lesions} if counts.lesions is not None else {}
        for name, cell in zip(names, row.cells, strict=True):
            match cell:
                case Figure() if cell.bare:
                    found[name] = [cell.value]
                case Figure():
                    found[name] = [cell.value, cell.low, cell.high]
                case Absent(why):
                    missing.append(f"Not measured on the held-out patients: {name}: {why}")
    return found, missing


def is_interval(value: object) -> bool:
    """Whether it is a figure (with or without an interval), and not a count."""
    return isinstance(value, list)


def calibration_lines(
    calibrations: Mapping[Level, Calibration], scored: Sequence[ReportedScore]
) -> dict[str, list[float]]:
    """Intercept and slope of the probabilities at each level (`models.birads.caveat.line_of`), with 95 % intervals.

    A level without both malignant and other cases has no figures, one with too few patients only values.

    Args:
        scored: the whole bundle's scores of held-out patients: what the node would report, as the calibration was
            fitted on.
    """
    found: dict[str, list[float]] = {}
    for level, calibration in calibrations.items():
        figures = calibration_figures(calibration, scored, Draws(_SEED, _RESAMPLES))
        if figures is not None:
            for name, figure in zip(line_of(level), figures[:2], strict=True):
                found[name] = [figure.value] if figure.bare else [figure.value, figure.low, figure.high]
    return found


def _rows(kind: str, seen: Sequence[Observation]) -> list[tuple[Row, list[str], str]]:
    """Rows of the evaluation's tables, the names of their figures in the bundle, and its level; "" for a single row."""
    draws = Draws()
    match kind:
        case "detector" | "calcifications":
            names = [f"sensitivity at {column} false positives an image" for column in FROC_COLUMNS[:-1]]
            return [(froc_row(measured_images(seen), kind, draws), [*names, "FROC score"], "")]
        case "segmenter":
            names = [f"{name} in true boxes" for name in _OVERLAPS]
            return [(overlap_row(kind, by_true_box(seen), lambda drawing: drawing.own, draws), names, "")]
        case _:
            rows = [
                (
                    area_row(kind, some, draws, why_no_scores(seen)),
                    [f"{level} {name}" for name in AREA_COLUMNS],
                    str(level),
                )
                for level, some in levels(seen).items()
                if some or level is Level.IMAGE
            ]
            return rows
