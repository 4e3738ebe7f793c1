"""The report of an ablation study: the papers' own tables, with the recipes of ablation.py as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev

import torch

from models.birads.calibration import Level
from models.bundles.bundle import Bundle
from models.datasets.case import Cases
from models.evaluation.decisions import (
    A1_COLUMNS,
    AREA_COLUMNS,
    CUT_NOTE,
    WITHIN_NOTE,
    area_row,
    confusion_table,
    decision_row,
    hospital_rows,
)
from models.evaluation.detection import (
    B1_COLUMNS,
    B1_NOTES,
    FROC_COLUMNS,
    average_precision_row,
    froc_row,
    measured_images,
    threshold_table,
)
from models.evaluation.evaluation import Observed
from models.evaluation.examples import draw_examples
from models.evaluation.malignancy import why_no_scores
from models.evaluation.observations import Observation
from models.evaluation.paired import (
    area_difference,
    average_precision_difference,
    boundary_difference,
    decision_difference,
    differences,
    froc_difference,
    pixel_difference,
)
from models.evaluation.papers import paper_table
from models.evaluation.radiologists import (
    BIRADS_NOTES,
    NO_BIRADS,
    NO_MASSES,
    birads_differences,
    birads_rows,
    image_calls,
    mass_calls,
    paper_differences,
    with_birads,
)
from models.evaluation.scored import Scored, only_masses, scored_images, scored_lesions, with_masses, worth
from models.evaluation.segmentation import (
    B3_COLUMNS,
    B4_COLUMNS,
    PIXEL_NOTE,
    Drawn,
    as_shown,
    border_note,
    boundary_row,
    by_true_box,
    pixel_row,
)
from models.evaluation.tables import About, Absent, Cell, Counts, Draws, Plot, Report, Row, Section, Table
from models.measures.detection import Figure
from models.training.ablation import Contender

_POOLED = (
    "Each recipe's figures are of the test patients of all folds together, each read by a model not trained on them."
)
_WHOLE_NOTE = (
    "Detector and segmenter together: the detector's box, the prompt of the segmenter's recipe (yolo-mlsam: the box's "
    "brightest point), and the outline. A lesion without a box that finds it has no outline. The paper does not state "
    "HQ-SAM's prompt: yolo-hq-sam uses the same point; the table of true boxes shows the result with a person's boxes."
)
_NO_DETECTOR = "It has no detector: name a detector's recipe too, or give --base."


def examples_of(contenders: Sequence[Contender], cases: Cases, device: torch.device) -> tuple[Plot, ...]:
    """Pictures of each segmenter's outlines of the same lesions, from the first fold (paper B, Figure 4)."""
    return tuple(
        plot
        for contender in contenders
        if contender.recipe.kind == "segmenter"
        for plot in draw_examples(
            contender.bundles[0],
            cases.cases,
            contender.folds[0].test,
            f"examples-{contender.name}",
            device,
            contender.recipe.fit.mixed_precision,
        )
    )


def ablation_report(
    about: About, contenders: Sequence[Contender], draws: Draws, examples: Sequence[Plot] = ()
) -> Report:
    """A section for each kind among the contenders; `examples` are put into the segmenters' section."""
    by_kind = {kind: [contender for contender in contenders if contender.recipe.kind == kind] for kind in _SECTIONS}
    sections = {kind: _SECTIONS[kind](some, draws) for kind, some in by_kind.items() if some}
    if "segmenter" in sections:
        sections["segmenter"] = replace(sections["segmenter"], plots=tuple(examples))
    return Report(about, tuple(sections.values()))


def _detectors(contenders: Sequence[Contender], draws: Draws) -> Section:
    images = {contender.name: measured_images(contender.pooled) for contender in contenders}
    return Section(
        "detectors",
        "Detectors",
        _POOLED,
        (
            paper_table(
                "B1",
                "Attention",
                B1_COLUMNS,
                [average_precision_row(some, name, draws) for name, some in images.items()],
                B1_NOTES,
            ),
            *differences("B1", "Attention", B1_COLUMNS, images, average_precision_difference, draws, percent=True),
            Table(
                "froc",
                "Sensitivity at a number of false positives per image (FROC)",
                FROC_COLUMNS,
                tuple(froc_row(some, name, draws) for name, some in images.items()),
            ),
            *differences("froc", "FROC", FROC_COLUMNS, images, froc_difference, draws),
        ),
    )


def _segmenters(contenders: Sequence[Contender], draws: Draws) -> Section:
    drawn = {contender.name: by_true_box(contender.pooled) for contender in contenders}
    return Section(
        "segmenters",
        "Segmenters",
        f"{_POOLED} Outlines are from true boxes, which the segmenter enlarges, except in Table 5 of paper B.",
        (
            paper_table(
                "B3",
                "Features",
                B3_COLUMNS,
                [boundary_row(name, some, draws) for name, some in drawn.items()],
                [border_note(next(iter(drawn.values()), []))],
            ),
            *differences("B3", "Features", B3_COLUMNS, drawn, boundary_difference, draws, percent=True),
            paper_table(
                "B4",
                "Encoder",
                B4_COLUMNS,
                [pixel_row(name, some, draws) for name, some in drawn.items()],
                [PIXEL_NOTE],
            ),
            *differences("B4", "Encoder", B4_COLUMNS, drawn, pixel_difference, draws, percent=True),
            *_whole_tables(contenders, draws),
            Table(
                "folds",
                "Folds, from true boxes",
                B4_COLUMNS,
                tuple(
                    row
                    for contender in contenders
                    for row in _by_fold(contender.name, map(by_true_box, _tests(contender.folds)), draws)
                ),
                percent=True,
                notes=(PIXEL_NOTE,),
            ),
        ),
    )


def _whole_tables(contenders: Sequence[Contender], draws: Draws) -> tuple[Table, ...]:
    """Paper B's Tables 5 and 2: detector and segmenter together, by fold and by the detector's threshold."""
    rows: list[Row] = []
    pooled: dict[str, list[Drawn]] = {}
    images: dict[str, list[Observation]] = {}
    for contender in contenders:
        if not contender.detector:
            rows.append(Row(contender.name, (Absent(_NO_DETECTOR),) * len(B4_COLUMNS)))
            continue
        name = f"{contender.detector} + {contender.name}"
        by_fold = [as_shown(fold) for fold in _tests(contender.folds)]
        rows += _by_fold(name, by_fold, draws)
        pooled[name] = [lesion for fold in by_fold for lesion in fold]
        images[name] = measured_images(contender.pooled)
    return (
        paper_table(
            "B5",
            "Folds, detector and segmenter together",
            B4_COLUMNS,
            rows,
            [PIXEL_NOTE, _WHOLE_NOTE, "The mean is of the folds' figures, as in the paper."],
        ),
        *differences(
            "B5", "Detector and segmenter together", B4_COLUMNS, pooled, pixel_difference, draws, percent=True
        ),
        *((threshold_table(images, draws),) if images else ()),
    )


def _tests(folds: Sequence[Observed]) -> list[tuple[Observation, ...]]:
    return [fold.test for fold in folds]


def _by_fold(name: str, folds: Iterable[Sequence[Drawn]], draws: Draws) -> list[Row]:
    rows = [pixel_row(f"{name}, fold {number}", some, draws) for number, some in enumerate(folds, start=1)]
    return [*rows, _over_folds(f"{name}, mean", rows, fmean)]


def _over_folds(name: str, rows: Sequence[Row], together: Callable[[list[float]], float]) -> Row:
    """One figure of all folds' figures."""
    cells: list[Cell] = []
    for column in zip(*(row.cells for row in rows), strict=True):
        known = [cell.value for cell in column if isinstance(cell, Figure)]
        cells.append(together(known) if len(known) == len(rows) else Absent("Not every fold has this figure."))
    counts = [row.counts for row in rows if row.counts is not None]
    all_counts = Counts(
        sum(fold.patients for fold in counts),
        sum(fold.images for fold in counts),
        sum(fold.lesions or 0 for fold in counts),
    )
    return Row(name, tuple(cells), all_counts)


def _classifiers(contenders: Sequence[Contender], draws: Draws) -> Section:
    images = {contender.name: _calibrated(contender, Level.IMAGE) for contender in contenders}
    lesions = {contender.name: _calibrated(contender, Level.LESION) for contender in contenders}
    masses = {contender.name: _calibrated(contender, Level.IMAGE, with_masses) for contender in contenders}
    mass_lesions = {contender.name: _calibrated(contender, Level.LESION, only_masses) for contender in contenders}
    compared = {contender.name: _calibrated(contender, Level.IMAGE, with_birads) for contender in contenders}
    # Masses can be compared with the radiologists even if no recipe scores whole images.
    pooled = [contender.pooled for contender in contenders]
    read = next((some for some in pooled if with_birads(some)), pooled[0])
    why = {contender.name: why_no_scores(contender.pooled) for contender in contenders}
    no_lesions = "No lesion has a pathology of its own."
    decisions, areas, by_hospital = [], [], []
    for name in images:
        groups = (
            ("images", images[name], why[name]),
            ("images with masses", masses[name], NO_MASSES if images[name] else why[name]),
            ("lesions", lesions[name], no_lesions),
            ("masses", mass_lesions[name], NO_MASSES),
        )
        decisions += [decision_row(f"{name}, {group}", some, draws, reason) for group, some, reason in groups]
        decisions.append(decision_row(f"{name}, images with a BI-RADS category", compared[name], draws, NO_BIRADS))
        areas += [area_row(f"{name}, {group}", some, draws, reason) for group, some, reason in groups]
        by_hospital += hospital_rows(f"{name}, images", images[name], draws)
        by_hospital += hospital_rows(f"{name}, masses", mass_lesions[name], draws)
    return Section(
        "classifiers",
        "Classifiers",
        f"{_POOLED} Lesions are scored by their true outlines; a classifier whose input is the whole image gives them "
        "the image's score. A classifier whose image score depends on findings has none here, unless --base gives a "
        "detector and a segmenter. The paper's rows are of masses.",
        (
            paper_table(
                "A1",
                "Malignant or not",
                A1_COLUMNS,
                [*decisions, *birads_rows(read, draws)],
                [CUT_NOTE, *BIRADS_NOTES],
            ),
            *differences("A1-images", "Malignant or not, images", A1_COLUMNS, images, decision_difference, draws),
            *differences("A1-masses", "Malignant or not, masses", A1_COLUMNS, mass_lesions, decision_difference, draws),
            *birads_differences(images, mass_lesions, read, draws),
            *paper_differences(_compared_with_paper(masses, mass_lesions, read), draws),
            *_classifiers_by_fold(contenders, draws),
            confusion_table(_compared_with_paper(masses, mass_lesions, read), NO_MASSES),
            Table(
                "areas",
                "Areas under the ROC and the precision–recall curve",
                AREA_COLUMNS,
                tuple(areas),
                notes=(WITHIN_NOTE,),
            ),
            *_hospitals_table(by_hospital),
            *differences("areas-images", "Areas, images", AREA_COLUMNS, images, area_difference, draws),
            *differences("areas-masses", "Areas, masses", AREA_COLUMNS, mass_lesions, area_difference, draws),
        ),
    )


def _classifiers_by_fold(contenders: Sequence[Contender], draws: Draws) -> tuple[Table, ...]:
    """The masses of each fold's test patients, with mean and spread over the folds, and the radiologists' categories of
    the same masses; none of a single split."""
    if len(contenders[0].folds) < 2:
        return ()
    by_fold: dict[str, list[Sequence[Scored]]] = {}
    for contender in contenders:
        for fold, bundle in zip(contender.folds, contender.bundles, strict=True):
            scored = _worth(only_masses(fold.test), bundle, Level.LESION)
            by_fold.setdefault(contender.name, []).append(scored)
    for fold in contenders[0].folds:
        for name, calls in mass_calls(fold.test).items():
            by_fold.setdefault(name, []).append(calls)
    rows = [
        row
        for name, folds in by_fold.items()
        for row in _mean_and_spread(name, [_decisions_and_areas(f"{name}, fold", some, draws) for some in folds])
    ]
    notes = (CUT_NOTE, WITHIN_NOTE, "Spread is the sample standard deviation of the folds' figures.")
    columns = (*A1_COLUMNS, *AREA_COLUMNS[:2])
    return (Table("A1-folds", "Malignant or not, masses, by fold", columns, tuple(rows), notes=notes),)


def _decisions_and_areas(name: str, some: Sequence[Scored], draws: Draws) -> Row:
    decided = decision_row(name, some, draws, NO_MASSES)
    return replace(decided, cells=(*decided.cells, *area_row(name, some, draws, NO_MASSES).cells[:2]))


def _mean_and_spread(name: str, folds: Sequence[Row]) -> list[Row]:
    """The folds' rows with their numbers, and rows of the mean and the sample standard deviation."""
    numbered = [replace(row, name=f"{row.name} {number}") for number, row in enumerate(folds, start=1)]
    return [*numbered, _over_folds(f"{name}, mean", folds, fmean), _over_folds(f"{name}, spread", folds, stdev)]


def _compared_with_paper(
    images: Mapping[str, Sequence[Scored]], masses: Mapping[str, Sequence[Scored]], read: Sequence[Observation]
) -> dict[str, Sequence[Scored]]:
    """The recipes' and the radiologists' decisions on images with masses, and on masses: the paper's rows are of
    those."""
    radiologists = with_masses(with_birads(read))
    return {
        **{f"{name}, images with masses": some for name, some in {**images, **image_calls(radiologists)}.items()},
        **{f"{name}, masses": some for name, some in {**masses, **mass_calls(radiologists)}.items()},
    }


def _hospitals_table(rows: Sequence[Row]) -> tuple[Table, ...]:
    """Areas by hospital; none if the data name no hospital."""
    return (Table("areas-hospitals", "Areas by hospital", AREA_COLUMNS, tuple(rows)),) if rows else ()


def _calibrated(
    contender: Contender, level: Level, chosen: Callable[[Sequence[Observation]], Sequence[Observation]] = tuple
) -> list[Scored]:
    """Scores of all folds, calibrated by each fold's own calibration."""
    return [
        score
        for fold, bundle in zip(contender.folds, contender.bundles, strict=True)
        for score in _worth(chosen(fold.test), bundle, level)
    ]


def _worth(seen: Sequence[Observation], bundle: Bundle, level: Level) -> list[Scored]:
    scored = scored_images if level is Level.IMAGE else scored_lesions
    return worth(scored(seen), bundle.calibration.get(level))


_SECTIONS = {"detector": _detectors, "calcifications": _detectors, "segmenter": _segmenters, "classifier": _classifiers}
