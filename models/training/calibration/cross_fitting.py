"""Scores of patients whom a classifier has not learned from, though it has learned from nearly all.

Validation patients are few. By cross-fitting every patient who is not a test patient counts: the classifier is trained
again without a fold of them, which it then reads (as scikit-learn's CalibratedClassifierCV(ensemble=False) does it). A
calibration of all these scores stands for the classifier that ships. Those held out look on while they are held out:
where a recipe lets validation patients choose the epoch, the scores are a little too well off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models.catalog import adapter_of
from models.datasets.case import Case
from models.datasets.split import folds, sides
from models.pipeline import Pipeline
from models.training.calibration.fitting import ScoredCase
from models.training.calibration.scoring import scores
from models.training.parts import Fitted, fit_part
from models.training.recipe import Progress, Recipe


def out_of_fold(
    recipe: Recipe,
    cases: Sequence[Case],
    pipeline: Pipeline,
    start: Path | None,
    folder: Path,
    device: torch.device,
    progress: Progress,
    depends_on: str,
) -> list[ScoredCase]:
    """What `recipe.calibration.folds` classifiers say, each of the patients that it has not learned from.

    Args:
        cases: of no test patient.
        pipeline: whose detector and segmenter they read with.
        start: weights to start from; None for random ones.
        folder: for the checkpoints; made where missing.
        depends_on: changes with whatever the weights depend on.

    Raises what `models.training.runs.train` raises.
    """
    count = recipe.calibration.folds
    scored = []
    for number, fold in enumerate(folds(cases, count, recipe.split.seed), start=1):

        def fold_progress(steps: int, total: int, text: str, number: int = number) -> None:
            progress(steps, total, f"calibration, fold {number} of {count}, {text}")

        train, validation, held = sides(cases, fold)
        place = folder / f"fold-{number}"
        fitted = fit_part(recipe, [*train, *validation], held, start, place, device, fold_progress, depends_on)
        scored += scored_by(fitted, recipe, pipeline, held, device)
    return scored


def scored_by(
    fitted: Fitted, recipe: Recipe, pipeline: Pipeline, cases: Sequence[Case], device: torch.device
) -> list[ScoredCase]:
    """What a classifier says of these cases in place of the pipeline's: see `scoring.scores`."""
    mixed = recipe.fit.mixed_precision
    classifier = adapter_of(fitted.architecture, fitted.weights, fitted.settings, device, mixed)
    return scores(replace(pipeline, classifier=classifier), cases)
