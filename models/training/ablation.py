"""Several recipes, trained and measured over the same folds of patients, side by side: the papers' own tables."""

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


@dataclass(frozen=True)
class Contender:
    """A recipe, and what its model of each fold did on the fold's test patients.

    Attributes:
        bundles: of each fold, with the parts that it was observed with.
        detector: of a segmenter, the name of the detector that it was observed behind; "" where there was none.
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
        """All folds together: no image is tested in two."""
        return [observation for fold in self.folds for observation in fold.test]


def any_recipe(source: str) -> Recipe:
    """A recipe of whatever kind it says it is.

    Raises:
        RecipeError: see `read_recipe`.
    """
    return recipe_of(kind_of(source), source)


def make_folds(recipes: Sequence[Recipe], cases: Cases, count: int | None) -> list[Split]:
    """The folds that all recipes share, drawn with the first one's seed; its own split where no count is given.

    Raises:
        EvaluationError: two recipes have one name, or there are none.
        SplitError: the patients cannot be split so.
    """
    names = [recipe.name for recipe in recipes]
    if not names:
        raise EvaluationError("No recipe is given. Give at least one.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise EvaluationError(f"Two recipes are named {twice}. Give each file a name of its own.")
    split = recipes[0].split
    return [make_split(split, cases.cases)] if count is None else folds(cases.cases, count, split.seed)


def contend(
    recipes: Sequence[Recipe],
    cases: Cases,
    splits: Sequence[Split],
    out: Path,
    starts: Mapping[str, Path],
    device: torch.device,
    progress: Progress,
    base: Bundle | None = None,
) -> list[Contender]:
    """Trains each recipe on each fold and observes it there, in `out/RECIPE/fold-N`; what is done is not done again.

    The first detector among the recipes, each fold's on that fold, stands before the segmenters.

    Args:
        starts: weights to start from, by the recipe's name.
        base: where no detector contends its detector stands before the segmenters; classifiers read with its detector
            and segmenter. Without one they are measured alone.

    Raises what `models.training.runs.train` and `observe_bundle` raise.
    """
    first = next((recipe for recipe in recipes if recipe.kind == "detector"), None)
    done: dict[str, Contender] = {}
    for recipe in sorted(recipes, key=lambda recipe: recipe is not first):
        detector = done[first.name] if first is not None and recipe.kind == "segmenter" else None
        start = starts.get(recipe.name)
        done[recipe.name] = _contend(recipe, cases, splits, out, start, device, progress, base, detector)
    return [done[recipe.name] for recipe in recipes]


def _contend(
    recipe: Recipe,
    cases: Cases,
    splits: Sequence[Split],
    out: Path,
    start: Path | None,
    device: torch.device,
    progress: Progress,
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

        def fold_progress(done: int, total: int, how: str, number: int = number) -> None:
            progress(done, total, f"{recipe.name}, fold {number} of {len(splits)}: {how}")

        with naming(f"{recipe.name}, fold {number} of {len(splits)}"):
            bundle = train(
                recipe, cases, place, start, device, fold_progress, split=split, base=base, measured=False
            ).bundle
            if detector is not None:
                bundle = replace(bundle, detector=detector.bundles[number - 1].detector)
            elif base is not None and recipe.kind != "detector":
                bundle = replace(bundle, detector=base.detector)
            _, validation, test = sides(cases.cases, split)
            mixed = recipe.fit.mixed_precision
            observed.append(
                observe_bundle(bundle, test, validation, place / "evaluation", device, mixed, fold_progress, roles)
            )
        bundles.append(bundle)
    return Contender(recipe, tuple(bundles), tuple(observed), before if recipe.kind == "segmenter" else "")
