"""Ablation studies: several recipes, trained and evaluated on the same folds of patients, as in the papers' tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from models.bundles.bundle import ROLES, Bundle
from models.datasets.case import Cases
from models.datasets.split import Split, folds, sides
from models.evaluation.evaluation import Observed, observe_bundle
from models.evaluation.observations import EvaluationError, Observation
from models.evaluation.observe import Progress
from models.training.kinds import recipe_of
from models.training.recipe import Recipe, kind_of
from models.training.runs import make_split, naming, train
from models.training.study_progress import StudyProgress


@dataclass(frozen=True)
class Contender:
    """A recipe, and the results of its model of each fold on the fold's test patients.

    Attributes:
        bundles: of each fold, with the parts that were used in its evaluation.
        folds: the results of each fold.
        detector: for a segmenter: the name of the detector whose boxes it was given; "" if there was none.
    """

    recipe: Recipe
    bundles: tuple[Bundle, ...]
    folds: tuple[Observed, ...]
    detector: str = ""

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def pooled(self) -> list[Observation]:
        """The test images of all folds: no image is a test image in two folds."""
        return [observation for fold in self.folds for observation in fold.test]


def any_recipe(source: str) -> Recipe:
    """A recipe of any kind.

    Raises:
        RecipeError: see `read_recipe`.
    """
    return recipe_of(kind_of(source), source)


def make_folds(recipes: Sequence[Recipe], cases: Cases, count: int | None, given: Split | None = None) -> list[Split]:
    """The folds that all recipes share, drawn with the first recipe's seed; without a count the split that is given or,
    without one, the first recipe's.

    Raises:
        EvaluationError: two recipes have the same name, or there are none.
        SplitError: the patients cannot be split like this.
    """
    names = [recipe.name for recipe in recipes]
    if not names:
        raise EvaluationError("No recipe is given. Give at least one.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise EvaluationError(f"Two recipes are named {twice}. Give each file a different name.")
    split = recipes[0].split
    if count is not None:
        return folds(cases.cases, count, split.seed)
    return [given or make_split(split, cases.cases)]


def contend(
    recipes: Sequence[Recipe],
    cases: Cases,
    splits: Sequence[Split],
    out: Path,
    starts: Mapping[str, Path],
    device: torch.device,
    progress: Progress,
    base: Bundle | None = None,
    outlined: Cases | None = None,
) -> list[Contender]:
    """Trains and evaluates each recipe on each fold, in `out/RECIPE/fold-N`; finished folds are not repeated.

    The segmenters get the boxes of the first detector among the recipes, in each fold of that fold's detector.

    Args:
        starts: start weights, by the recipe's name.
        progress: called with the image passes of the whole study; see `StudyProgress`.
        base: if no detector is among the recipes, segmenters get the boxes of its detector; classifiers are evaluated
            with its detector and segmenter. Without a base they are evaluated alone.
        outlined: the same cases for the classifiers, with outlines drawn where only boxes are known; None: `cases`.

    Raises what `models.training.runs.train` and `observe_bundle` raise.
    """
    first = next((recipe for recipe in recipes if recipe.kind == "detector"), None)
    study = StudyProgress(
        progress, sum(_training_passes(recipe, split) + len(split.test) for recipe in recipes for split in splits)
    )
    done: dict[str, Contender] = {}
    for recipe in sorted(recipes, key=lambda recipe: recipe is not first):
        detector = done[first.name] if first is not None and recipe.kind == "segmenter" else None
        start = starts.get(recipe.name)
        some = outlined if outlined is not None and recipe.kind == "classifier" else cases
        done[recipe.name] = _contend(recipe, some, splits, out, start, device, study, base, detector)
    return [done[recipe.name] for recipe in recipes]


def _contend(
    recipe: Recipe,
    cases: Cases,
    splits: Sequence[Split],
    out: Path,
    start: Path | None,
    device: torch.device,
    study: StudyProgress,
    base: Bundle | None,
    detector: Contender | None,
) -> Contender:
    observed, bundles = [], []
    before = detector.name if detector is not None else str(base.id) if base is not None else ""
    roles: tuple[str, ...] = (recipe.kind,)
    if before and recipe.kind == "segmenter":
        roles = ("detector", "segmenter")
    elif base is not None and recipe.kind == "classifier":
        roles = ROLES
    for number, split in enumerate(splits, start=1):
        place = out / recipe.name / f"fold-{number}"
        name = f"{recipe.name}, fold {number} of {len(splits)}"
        with naming(name):
            with study.phase(_training_passes(recipe, split), name) as step:
                bundle = train(
                    recipe,
                    cases,
                    place,
                    start,
                    device,
                    step,
                    split=split,
                    base=base,
                    measured=False,
                    kept_in=out / recipe.name / "kept",
                ).bundle
            if detector is not None:
                bundle = replace(bundle, detector=detector.bundles[number - 1].detector)
            elif base is not None and recipe.kind != "detector":
                bundle = replace(bundle, detector=base.detector)
            _, _, test = sides(cases.cases, split)
            mixed = recipe.fit.mixed_precision
            with study.phase(len(test), name) as step:
                observed.append(observe_bundle(bundle, test, None, place / "evaluation", device, mixed, step, roles))
        bundles.append(bundle)
    return Contender(recipe, tuple(bundles), tuple(observed), before if recipe.kind == "segmenter" else "")


def _training_passes(recipe: Recipe, split: Split) -> int:
    """Image passes of a training that does not stop early."""
    return recipe.fit.epochs * len(split.train)
