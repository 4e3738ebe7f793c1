"""Cross-fitting: out-of-fold scores of nearly all patients, for the calibration of a classifier.

There are few validation patients. With cross-fitting every patient who is not a test patient is used: for each fold,
the classifier is trained again without it and then scores it (as in scikit-learn's
CalibratedClassifierCV(ensemble=False)). A calibration of all these scores is used for the classifier that ships. A fold
is the validation set of its own training: if the recipe chooses the best epoch by it, the scores are slightly too good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models.catalog import adapter_of
from models.datasets.case import Case
from models.datasets.split import folds, sides
from models.evaluation.reported_scores import ReportedScore, scores
from models.pipeline import Pipeline
from models.training.kept import IN_MEMORY, Kept
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
    kept: Kept = IN_MEMORY,
) -> list[ReportedScore]:
    """The scores of `recipe.calibration.folds` classifiers, each on the patients that it was not trained on.

    Args:
        cases: without test patients.
        pipeline: its detector and segmenter are used.
        start: start weights; None for random ones.
        folder: for the checkpoints; created if missing.
        depends_on: identifies everything that the weights depend on.
        kept: holds what is made of each image, for all folds.

    Raises what `models.training.runs.train` raises.
    """
    count = recipe.calibration.folds
    scored = []
    for number, fold in enumerate(folds(cases, count, recipe.split.seed), start=1):

        def fold_progress(steps: int, total: int, text: str, number: int = number) -> None:
            progress(steps, total, f"calibration, fold {number} of {count}, {text}")

        train, validation, held = sides(cases, fold)
        place = folder / f"fold-{number}"
        fitted = fit_part(recipe, [*train, *validation], held, start, place, device, fold_progress, depends_on, kept)
        scored += scored_by(fitted, recipe, pipeline, held, device)
    return scored


def scored_by(
    fitted: Fitted, recipe: Recipe, pipeline: Pipeline, cases: Sequence[Case], device: torch.device
) -> list[ReportedScore]:
    """The scores of these cases (`reported_scores.scores`), with the fitted classifier in the pipeline's place."""
    mixed = recipe.fit.mixed_precision
    classifier = adapter_of(fitted.architecture, fitted.weights, fitted.settings, device, mixed)
    return scores(replace(pipeline, classifier=classifier), cases)
