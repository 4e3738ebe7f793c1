"""Tables of malignancy: paper A's Table 1 and Figure 7, ROC, precision–recall, calibration, and a decision at a fixed
sensitivity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from models.birads.calibration import Calibration, Level
from models.birads.categories import SUSPICIOUS
from models.evaluation.observations import Observation
from models.evaluation.papers import paper_table
from models.evaluation.plots import calibration_plot, confusion_plot, precision_recall_plot, roc_plot
from models.evaluation.scored import Scored, arrays, birads_of, can_be_scored, levels, scored_images, worth
from models.evaluation.tables import Absent, Cell, Counts, Draws, Plot, Row, Section, Table, figures
from models.measures.detection import auc
from models.measures.scores import (
    average_precision,
    brier,
    calibration_curve,
    calibration_line,
    confusion,
    threshold_at_sensitivity,
)
from models.types.birads import Category
from models.types.reading import FindingKind
from models.types.words import counted

AREA_COLUMNS = ("AUC", "average precision")
A1_COLUMNS = ("accuracy", "F1", "precision", "recall")
_CUT = 0.5
FIXED_SENSITIVITY = 0.9
CUT_NOTE = (
    f"{_CUT:g} and above counts as malignant: the probability if the bundle is calibrated (at the prevalence it was "
    "fitted at), else the score."
)
RECALLED = frozenset(category.value for category in SUSPICIOUS)
_PROVEN_BEFORE = Category.SIX.value
BIRADS_NOTES = (
    "BI-RADS: above 3 counts as malignant, up to 3 as benign, as in the paper. 0 is a recall and counts as above 3; 6 "
    "(proven cancer) is left out. The row below it uses the paper's literal rule: 0 is less than 4, so it is benign.",
    "On CBIS-DDSM's own tables of masses the literal rule gives accuracy 0.74, F1 0.76, precision 0.66 and recall "
    "0.90, but the paper prints 0.51, 0.57, 0.48 and 0.69: its cases or its rule differ from its description.",
)
NO_BIRADS = "No scored image has a BI-RADS category."
NO_MASSES = "No scored image has a mass, or no mass has a pathology of its own."
NO_SCORES = "No classifier was run, or no image has a known pathology and a fair label (docs/evaluation.md)."
WITHHELD = "Its score depends on findings, and no detector was run: evaluate the whole bundle (mammo-node evaluate)."
_NO_BREASTS = "No breast is shown by two or more images of one exam that can all be scored."
_NO_EXAMS = "No exam shows both breasts by two or more images each that can all be scored."
_ONE_SORT = "The images are all malignant or none is: both kinds are needed."


def malignancy_section(
    observations: Sequence[Observation],
    validation: Sequence[Observation] | None,
    calibrations: Mapping[Level, Calibration],
    draws: Draws,
) -> Section:
    """Everything about scores.

    Args:
        validation: of other patients, to choose the threshold on; None if there are none.
        calibrations: the bundle's, at the prevalence that they were fitted at.
    """
    by_level = levels(observations)
    images = by_level[Level.IMAGE]
    unfair = sum(observation.score is not None and not observation.label_is_fair for observation in observations)
    text = "Malignant against the rest (benign and normal together)."
    if unfair:
        text += f" Left out: {counted(unfair, 'image')} whose size, view or format reveals the label."
    calibration = calibrations.get(Level.IMAGE)
    return Section(
        "malignancy",
        "Malignancy",
        text,
        (
            _areas(by_level, draws),
            _decisions(observations, calibration, draws),
            _confusion(worth(images, calibration)),
            _calibration(by_level, calibrations, draws),
            _fixed(images, None if validation is None else scored_images(validation), draws),
        ),
        _plots(images, calibration),
    )


def _plots(images: Sequence[Scored], calibration: Calibration | None) -> tuple[Plot, ...]:
    if len({image.malignant for image in images}) != 2:
        return ()
    scores, malignant = arrays(images)
    probabilities, _ = arrays(worth(images, calibration))
    corrected, _ = arrays(worth(images, calibration and calibration.at_prevalence(float(malignant.mean()))))
    return (
        roc_plot(scores, malignant),
        precision_recall_plot(scores, malignant),
        calibration_plot(calibration_curve(corrected, malignant)),
        confusion_plot(confusion(probabilities >= _CUT, malignant)),
    )


def _patient(item: Scored) -> str:
    return item.patient


def why_no_scores(observations: Sequence[Observation]) -> str:
    """The reason why no image has a score."""
    return WITHHELD if any(observation.score_withheld for observation in observations) else NO_SCORES


def area_row(name: str, some: Sequence[Scored], draws: Draws, why: str) -> Row:
    """Areas under the ROC and the precision–recall curve."""
    if len({item.malignant for item in some}) == 2:
        cells = figures(some, _patient, areas, 2, draws, _ONE_SORT)
    else:
        cells = (Absent(_ONE_SORT if some else why),) * 2
    return Row(f"{name} ({_sorts(some)})" if some else name, cells, _counted(some))


def areas(some: Sequence[Scored]) -> tuple[float, float]:
    """The figures of `area_row`."""
    scores, malignant = arrays(some)
    return auc(scores, malignant), average_precision(scores, malignant)


def _areas(by_level: Mapping[Level, Sequence[Scored]], draws: Draws) -> Table:
    scored = bool(by_level[Level.IMAGE])
    whys = {
        Level.IMAGE: NO_SCORES,
        Level.BREAST: _NO_BREASTS if scored else NO_SCORES,
        Level.EXAM: _NO_EXAMS if scored else NO_SCORES,
        Level.LESION: "No classifier was run, or no lesion has a pathology of its own.",
    }
    names = {Level.LESION: "lesions, by their true outlines"}
    return Table(
        "areas",
        "Areas under the ROC and the precision–recall curve",
        AREA_COLUMNS,
        tuple(area_row(names.get(level, f"{level}s"), some, draws, whys[level]) for level, some in by_level.items()),
        notes=(
            "The score of a breast or an exam is the highest of its images, its pathology the most severe. A breast is "
            "included if at least two images of an exam show it, an exam if this holds for both breasts, and only if "
            "all images have a score, a known pathology and a fair label.",
        ),
    )


def _sorts(some: Sequence[Scored]) -> str:
    malignant = sum(item.malignant for item in some)
    return f"{malignant} malignant, {len(some) - malignant} not"


def _counted(some: Sequence[Scored]) -> Counts:
    return Counts(len({item.patient for item in some}), len(some))


def calibration_row(name: str, some: Sequence[Scored], calibration: Calibration, draws: Draws) -> Row:
    """Intercept and slope of the probabilities at the prevalence of these same cases; see `calibration_line`."""

    def line(chosen: list[Scored]) -> tuple[float, float]:
        return calibration_line(*arrays(chosen))

    share = float(np.mean([item.malignant for item in some])) if some else 0.0
    if not 0 < share < 1:
        return Row(name, (Absent(_ONE_SORT if some else NO_SCORES),) * 2, _counted(some))
    probabilities = worth(some, calibration.at_prevalence(share))
    return Row(name, figures(probabilities, _patient, line, 2, draws, _ONE_SORT), _counted(some))


def decision_row(name: str, some: Sequence[Scored], draws: Draws, why: str) -> Row:
    """A row of paper A's Table 1: scores of 0.5 and above count as malignant."""
    none_called = "Nothing is called malignant."
    reasons = (why, why, none_called if some else why, "None is malignant." if some else why)
    return Row(name, figures(some, _patient, decided, 4, draws, reasons), _counted(some))


def decided(some: Sequence[Scored]) -> tuple[float, float, float, float]:
    """The figures of `decision_row`."""
    scores, malignant = arrays(some)
    table = confusion(scores >= _CUT, malignant)
    return table.accuracy, table.f1, table.precision, table.recall


def birads_rows(observations: Sequence[Observation], draws: Draws) -> tuple[Row, ...]:
    """The radiologists' rows of paper A's Table 1 (their category against the pathology), for `with_birads` and for
    those with masses; by our rule, and by the paper's literal rule, in which a recall (0) is below 4."""
    known = with_birads(observations)
    rules = {"0 a recall": RECALLED, "0 below 4, as in the paper": RECALLED - {Category.ZERO.value}}
    rows = []
    for group, some in (("the same images", known), ("those with masses", with_masses(known))):
        for rule, called in rules.items():
            calls = [Scored(item.patient, float(birads_of(item) in called), item.malignant) for item in some]
            why = NO_MASSES if known else NO_BIRADS
            rows.append(decision_row(f"BI-RADS > 3 = malignant ({rule}), {group}", calls, draws, why))
    return tuple(rows)


def with_masses(observations: Iterable[Observation]) -> list[Observation]:
    """Images with a mass: the paper's rows are of masses."""
    return [
        observation
        for observation in observations
        if any(lesion.kind is FindingKind.MASS for lesion in observation.lesions)
    ]


def with_birads(observations: Iterable[Observation]) -> list[Observation]:
    """Scored images with a radiologist's category (except 6), on which models and radiologists can be compared."""
    return [
        observation
        for observation in observations
        if can_be_scored(observation) and birads_of(observation) not in (None, _PROVEN_BEFORE)
    ]


def _decisions(observations: Sequence[Observation], calibration: Calibration | None, draws: Draws) -> Table:
    images = scored_images(observations)
    masses = scored_images(with_masses(observations))
    ours = [
        decision_row("these models, images", worth(images, calibration), draws, NO_SCORES),
        decision_row("these models, images with masses", worth(masses, calibration), draws, NO_SCORES),
        decision_row(
            "these models, images with a BI-RADS category",
            worth(scored_images(with_birads(observations)), calibration),
            draws,
            NO_BIRADS,
        ),
        *birads_rows(observations, draws),
    ]
    return paper_table("A1", "Malignant or not", A1_COLUMNS, ours, (CUT_NOTE, *BIRADS_NOTES), "decisions")


def _confusion(images: Sequence[Scored]) -> Table:
    cells: tuple[tuple[Cell, ...], ...] = ((Absent(NO_SCORES),) * 2,) * 2
    if images:
        scores, malignant = arrays(images)
        table = confusion(scores >= _CUT, malignant)
        cells = ((table.true_positive, table.false_negative), (table.false_positive, table.true_negative))
    return Table(
        "confusion",
        "Confusion",
        ("called malignant", "called not malignant"),
        (Row("malignant", cells[0], _counted(images)), Row("not malignant", cells[1], _counted(images))),
        "paper A, Figure 7",
        notes=(f"Of images. {CUT_NOTE} The paper prints its matrix only as a picture.",),
    )


def _calibration(
    by_level: Mapping[Level, Sequence[Scored]], calibrations: Mapping[Level, Calibration], draws: Draws
) -> Table:
    def errors(some: list[Scored]) -> tuple[float, float]:
        scores, malignant = arrays(some)
        return calibration_curve(scores, malignant).error, brier(scores, malignant)

    def row(name: str, some: Sequence[Scored]) -> Row:
        return Row(name, figures(some, _patient, errors, 2, draws, NO_SCORES), _counted(some))

    rows = [row("image: uncalibrated scores", by_level[Level.IMAGE])]
    for level, calibration in calibrations.items():
        some = by_level[level]
        rows.append(
            row(f"{level}: probabilities at a prevalence of {calibration.prevalence:.3g}", worth(some, calibration))
        )
        share = float(np.mean([item.malignant for item in some])) if some else 0.0
        if 0 < share < 1:
            corrected = worth(some, calibration.at_prevalence(share))
            rows.append(row(f"{level}: probabilities corrected to {share:.3g}, these data's", corrected))
    if not calibrations:
        rows.append(Row("probabilities", (Absent("The bundle is not calibrated."),) * 2))
    return Table(
        "calibration",
        "Calibration",
        ("expected calibration error", "Brier score"),
        tuple(rows),
        notes=(
            "Ten bins of equal width. The node corrects probabilities to its site's prevalence; the last row of a "
            "level corrects them to that of these data. Lesions have their true outlines here, but a bundle is "
            "calibrated on a detector's findings (benchmarks/calibration.py measures those).",
        ),
    )


def _fixed(images: Sequence[Scored], validation: Sequence[Scored] | None, draws: Draws) -> Table:
    chosen = float("nan")
    if validation:
        chosen = threshold_at_sensitivity(*arrays(validation), FIXED_SENSITIVITY)
    elsewhere = not np.isnan(chosen)

    def measure(some: list[Scored]) -> tuple[float, float]:
        scores, malignant = arrays(some)
        least = chosen if elsewhere else threshold_at_sensitivity(scores, malignant, FIXED_SENSITIVITY)
        if np.isnan(least):
            return float("nan"), float("nan")
        table = confusion(scores >= least, malignant)
        return table.recall, table.specificity

    at: Cell = Absent(NO_SCORES)
    if images:
        own = chosen if elsewhere else threshold_at_sensitivity(*arrays(images), FIXED_SENSITIVITY)
        at = Absent("None is malignant.") if np.isnan(own) else own
    cells = figures(images, _patient, measure, 2, draws, _ONE_SORT if images else NO_SCORES)
    where = (
        "The threshold was chosen on validation patients."
        if elsewhere
        else "The threshold was chosen on these same images, so the figures are too good: give a split with validation "
        "patients."
    )
    return Table(
        "fixed-sensitivity",
        f"Decision at a sensitivity of {FIXED_SENSITIVITY:g}",
        ("threshold", "sensitivity", "specificity"),
        (Row("images", (at, *cells), _counted(images)),),
        notes=(where,),
    )
