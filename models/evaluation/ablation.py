"""Several recipes, trained and measured over the same folds of patients, side by side: the papers' own tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch

from models.calibration import Calibration, Level
from models.datasets.case import Cases
from models.datasets.split import Split, folds, sides
from models.evaluation.detection import (
    B1_COLUMNS,
    B1_NOTES,
    FROC_COLUMNS,
    average_precision_row,
    froc_row,
    measured_images,
)
from models.evaluation.evaluation import Observed, observe_bundle
from models.evaluation.malignancy import (
    A1_COLUMNS,
    AREA_COLUMNS,
    BIRADS_NOTE,
    CUT_NOTE,
    NO_BIRADS,
    area_row,
    birads_row,
    decision_row,
    why_no_scores,
    with_birads,
)
from models.evaluation.measures import Figure
from models.evaluation.observations import EvaluationError, Observation
from models.evaluation.observe import Progress
from models.evaluation.papers import printed
from models.evaluation.scored import Scored, scored_images, scored_lesions, worth
from models.evaluation.segmentation import (
    B3_COLUMNS,
    B4_COLUMNS,
    PIXEL_NOTE,
    border_note,
    boundary_row,
    by_true_box,
    pixel_row,
)
from models.evaluation.tables import About, Absent, Cell, Counts, Draws, Report, Row, Section, Table
from models.training.kinds import recipe_of
from models.training.recipe import Recipe, kind_of
from models.training.runs import make_split, train

_POOLED = (
    "Each recipe's figures are of the test patients of all folds together, each read by the model that never saw them."
)


@dataclass(frozen=True)
class Contender:
    """A recipe, and what its model of each fold did on the fold's test patients."""

    recipe: Recipe
    folds: tuple[Observed, ...]
    calibrations: tuple[Mapping[Level, Calibration], ...]

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def pooled(self) -> list[Observation]:
        """All folds together: no image is tested in two."""
        return [one for fold in self.folds for one in fold.test]


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
    recipe: Recipe,
    cases: Cases,
    splits: Sequence[Split],
    out: Path,
    start: Path | None,
    device: torch.device,
    progress: Progress,
) -> Contender:
    """Trains a recipe on each fold and observes it there, in `out/RECIPE/fold-N`; what is done is not done again.

    Raises what `models.training.runs.train` and `observe_bundle` raise.
    """
    observed, calibrations = [], []
    for number, split in enumerate(splits, start=1):
        place = out / recipe.name / f"fold-{number}"

        def told(done: int, total: int, how: str, number: int = number) -> None:
            progress(done, total, f"{recipe.name}, fold {number} of {len(splits)}: {how}")

        trained = train(recipe, cases, place, start, device, told, split=split, measured=False)
        _, validation, test = sides(cases.cases, split)
        mixed = recipe.fit.mixed_precision
        seen = observe_bundle(
            trained.bundle, test, validation, place / "evaluation", device, mixed, told, (recipe.kind,)
        )
        observed.append(seen)
        calibrations.append(trained.bundle.calibration)
    return Contender(recipe, tuple(observed), tuple(calibrations))


def ablation_report(about: About, contenders: Sequence[Contender], draws: Draws) -> Report:
    """A section for each kind among the contenders."""
    by_kind = {kind: [one for one in contenders if one.recipe.kind == kind] for kind in _SECTIONS}
    return Report(about, tuple(_SECTIONS[kind](some, draws) for kind, some in by_kind.items() if some))


def _detectors(contenders: Sequence[Contender], draws: Draws) -> Section:
    images = {one.name: measured_images(one.pooled) for one in contenders}
    return Section(
        "detectors",
        "Detectors",
        _POOLED,
        (
            Table(
                "B1",
                "Attention",
                B1_COLUMNS,
                (
                    *(average_precision_row(some, name, draws) for name, some in images.items()),
                    *printed("B1", B1_COLUMNS),
                ),
                "paper B, Table 1",
                percent=True,
                notes=B1_NOTES,
            ),
            Table(
                "froc",
                "Sensitivity at so many false positives an image (FROC)",
                FROC_COLUMNS,
                tuple(froc_row(some, name, draws) for name, some in images.items()),
            ),
        ),
    )


def _segmenters(contenders: Sequence[Contender], draws: Draws) -> Section:
    drawn = {one.name: by_true_box(one.pooled) for one in contenders}
    pixels = {name: pixel_row(name, some, draws) for name, some in drawn.items()}
    by_fold = tuple(
        row for one in contenders for row in (*_fold_rows(one, draws), _mean_row(one, _fold_rows(one, draws)))
    )
    return Section(
        "segmenters",
        "Segmenters",
        f"{_POOLED} Outlines are from true boxes, which the segmenter enlarges.",
        (
            Table(
                "B3",
                "Features",
                B3_COLUMNS,
                (*(boundary_row(name, some, draws) for name, some in drawn.items()), *printed("B3", B3_COLUMNS)),
                "paper B, Table 3",
                percent=True,
                notes=(border_note(next(iter(drawn.values()), [])),),
            ),
            Table(
                "B4",
                "Encoder",
                B4_COLUMNS,
                (*pixels.values(), *printed("B4", B4_COLUMNS)),
                "paper B, Table 4",
                percent=True,
                notes=(PIXEL_NOTE,),
            ),
            Table(
                "B5",
                "Folds",
                B4_COLUMNS,
                (*by_fold, *printed("B5", B4_COLUMNS)),
                "paper B, Table 5",
                percent=True,
                notes=(PIXEL_NOTE, "The mean is of the folds' figures, as the paper's."),
            ),
        ),
    )


def _fold_rows(one: Contender, draws: Draws) -> list[Row]:
    return [
        pixel_row(f"{one.name}, fold {number}", by_true_box(fold.test), draws)
        for number, fold in enumerate(one.folds, start=1)
    ]


def _mean_row(one: Contender, rows: Sequence[Row]) -> Row:
    cells: list[Cell] = []
    for column in zip(*(row.cells for row in rows), strict=True):
        known = [cell.value for cell in column if isinstance(cell, Figure)]
        cells.append(fmean(known) if len(known) == len(rows) else Absent("Not every fold has it."))
    counts = [row.counts for row in rows if row.counts is not None]
    together = Counts(
        sum(one.patients for one in counts),
        sum(one.images for one in counts),
        sum(one.lesions or 0 for one in counts),
    )
    return Row(f"{one.name}, mean", tuple(cells), together)


def _classifiers(contenders: Sequence[Contender], draws: Draws) -> Section:
    images = {one.name: _worth(one, Level.IMAGE) for one in contenders}
    lesions = {one.name: _worth(one, Level.LESION) for one in contenders}
    compared = {one.name: _worth(one, Level.IMAGE, with_birads) for one in contenders}
    read = next((one.pooled for one in contenders if with_birads(one.pooled)), [])
    why = {one.name: why_no_scores(one.pooled) for one in contenders}
    no_lesions = "No lesion has a pathology of its own."
    decisions = [
        row
        for name in images
        for row in (
            decision_row(f"{name}, images", images[name], draws, why[name]),
            decision_row(f"{name}, lesions", lesions[name], draws, no_lesions),
            decision_row(f"{name}, images with a BI-RADS category", compared[name], draws, NO_BIRADS),
        )
    ]
    areas = [
        row
        for name in images
        for row in (
            area_row(f"{name}, images", images[name], draws, why[name]),
            area_row(f"{name}, lesions", lesions[name], draws, no_lesions),
        )
    ]
    return Section(
        "classifiers",
        "Classifiers",
        f"{_POOLED} Lesions are scored by their true outlines; a classifier that looks at images alone gives them "
        "its image's score. One whose image score depends on findings has none here.",
        (
            Table(
                "A1",
                "Malignant or not",
                A1_COLUMNS,
                (*decisions, birads_row(read, draws), *printed("A1", A1_COLUMNS)),
                "paper A, Table 1",
                notes=(CUT_NOTE, BIRADS_NOTE),
            ),
            Table("areas", "Areas under the ROC and the precision–recall curve", AREA_COLUMNS, tuple(areas)),
        ),
    )


def _worth(
    one: Contender, level: Level, chosen: Callable[[Sequence[Observation]], Sequence[Observation]] = tuple
) -> list[Scored]:
    """Scores of all folds, each fold's by its own calibration."""
    scored = scored_images if level is Level.IMAGE else scored_lesions
    return [
        score
        for fold, calibrations in zip(one.folds, one.calibrations, strict=True)
        for score in worth(scored(chosen(fold.test)), calibrations.get(level))
    ]


_SECTIONS = {"detector": _detectors, "segmenter": _segmenters, "classifier": _classifiers}
