"""How well malignancy is told: paper A's Table 1 and Figure 7, ROC, precision–recall, calibration, and a decision at a
fixed sensitivity. Only images whose label nothing but the disease tells (`Case.label_is_fair`) are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.datasets.case import Pathology
from models.evaluation.measures import auc
from models.evaluation.observations import Observation
from models.evaluation.papers import printed
from models.evaluation.plots import calibration_plot, confusion_plot, precision_recall_plot, roc_plot
from models.evaluation.scores import (
    Bools,
    Floats,
    average_precision,
    brier,
    calibration,
    confusion,
    threshold_at_sensitivity,
)
from models.evaluation.tables import Absent, Cell, Counts, Draws, Plot, Row, Section, Table, figures
from models.types import FindingKind

A1_COLUMNS = ("accuracy", "F1", "precision", "recall")
_CUT = 0.5
FIXED_SENSITIVITY = 0.9
RECALLED = frozenset({"0", "4", "4A", "4B", "4C", "5"})
NOT_RECALLED = frozenset({"1", "2", "3"})
BIRADS_NOTE = (
    "BI-RADS: above 3 counts as malignant, up to 3 as benign, as in the paper. 0 is a recall and stands with above 3; "
    "6 (proven already) is left out."
)
NO_SCORES = (
    "No classifier was run, or no image of known pathology whose label nothing but the disease tells is among them."
)
_ONE_SORT = "The images are all malignant or none is: both sorts are needed."


@dataclass(frozen=True)
class Scored:
    """Something with a score and an outcome: an image, a breast, an exam or a lesion."""

    patient: str
    score: float
    malignant: bool


def scored_images(observations: Iterable[Observation]) -> list[Scored]:
    """Images with a score and a pathology that may be measured."""
    return [
        Scored(one.patient, one.score, one.malignant) for one in observations if _fair(one) and one.score is not None
    ]


def _fair(one: Observation) -> bool:
    return one.label_is_fair and one.pathology is not None


def scored_lesions(observations: Iterable[Observation]) -> list[Scored]:
    """Lesions with a pathology of their own, by their true outlines."""
    return [
        Scored(one.patient, lesion.score, lesion.pathology is Pathology.MALIGNANT)
        for one in observations
        if one.label_is_fair
        for lesion in one.lesions
        if lesion.score is not None and lesion.pathology is not None
    ]


def joined(observations: Iterable[Observation], part: Callable[[Observation], tuple[str, ...] | None]) -> list[Scored]:
    """Breasts or exams: the highest score and the worst pathology of their images (the node's joining rule).

    Args:
        part: names what an image is a part of; None where that is not known.
    """
    groups: dict[tuple[str, ...], list[Observation]] = {}
    for one in observations:
        if one.score is not None and _fair(one) and (key := part(one)) is not None:
            groups.setdefault(key, []).append(one)
    return [
        Scored(
            some[0].patient,
            max(one.score for one in some if one.score is not None),
            any(one.malignant for one in some),
        )
        for some in groups.values()
    ]


def breast_of(one: Observation) -> tuple[str, ...] | None:
    """The breast that an image shows, of its exam."""
    return None if one.exam is None or one.laterality is None else (one.dataset, one.exam, one.laterality)


def exam_of(one: Observation) -> tuple[str, ...] | None:
    """The exam that an image is of."""
    return None if one.exam is None else (one.dataset, one.exam)


def arrays(some: Sequence[Scored]) -> tuple[Floats, Bools]:
    """Scores and outcomes."""
    return np.array([one.score for one in some]), np.array([one.malignant for one in some], dtype=np.bool_)


def malignancy_section(
    observations: Sequence[Observation], validation: Sequence[Observation] | None, draws: Draws
) -> Section:
    """Everything about scores.

    Args:
        validation: of other patients, to choose the threshold on; None where there are none.
    """
    images = scored_images(observations)
    unfair = sum(one.score is not None and not one.label_is_fair for one in observations)
    text = "Malignant against the rest (benign and normal together). Scores are those the node would report."
    if unfair:
        text += f" {unfair} image(s) are left out, since their size, view or format gives their label away."
    plots: tuple[Plot, ...] = ()
    if len({one.malignant for one in images}) == 2:
        scores, malignant = arrays(images)
        plots = (
            roc_plot(scores, malignant),
            precision_recall_plot(scores, malignant),
            calibration_plot(calibration(scores, malignant)),
            confusion_plot(confusion(scores >= _CUT, malignant)),
        )
    return Section(
        "malignancy",
        "Malignancy",
        text,
        (
            _areas(observations, images, draws),
            _decisions(observations, images, draws),
            _confusion(images),
            _calibration(images, draws),
            _fixed(images, None if validation is None else scored_images(validation), draws),
        ),
        plots,
    )


def _patient(one: Scored) -> str:
    return one.patient


def _areas(observations: Sequence[Observation], images: Sequence[Scored], draws: Draws) -> Table:
    def areas(some: list[Scored]) -> tuple[float, float]:
        scores, malignant = arrays(some)
        return auc(scores, malignant), average_precision(scores, malignant)

    no_exams = "The data do not say which images are of one exam."
    lesions = scored_lesions(observations)
    levels = (
        ("images", images, NO_SCORES),
        ("breasts", joined(observations, breast_of), no_exams if images else NO_SCORES),
        ("exams", joined(observations, exam_of), no_exams if images else NO_SCORES),
        ("lesions, by their true outlines", lesions, "No classifier was run, or no lesion has a pathology of its own."),
    )
    rows = []
    for name, some, why in levels:
        cells = figures(some, _patient, areas, 2, draws, (_ONE_SORT if some else why,) * 2)
        if len({one.malignant for one in some}) == 1:
            cells = (Absent(_ONE_SORT),) * 2
        rows.append(Row(f"{name} ({_sorts(some)})" if some else name, cells, _counted(some)))
    return Table(
        "areas",
        "Areas under the ROC and the precision–recall curve",
        ("AUC", "average precision"),
        tuple(rows),
        notes=(
            "A breast's score is the highest of its images, an exam's the highest of all; its pathology the worst.",
        ),
    )


def _sorts(some: Sequence[Scored]) -> str:
    malignant = sum(one.malignant for one in some)
    return f"{malignant} malignant, {len(some) - malignant} not"


def _counted(some: Sequence[Scored]) -> Counts:
    return Counts(len({one.patient for one in some}), len(some))


def decision_row(name: str, some: Sequence[Scored], draws: Draws, why: str) -> Row:
    """A row of paper A's Table 1: scores of 0.5 and above count as malignant."""

    def measure(chosen: list[Scored]) -> tuple[float, ...]:
        scores, malignant = arrays(chosen)
        table = confusion(scores >= _CUT, malignant)
        return table.accuracy, table.f1, table.precision, table.recall

    none_called = "Nothing is called malignant."
    reasons = (why, why, none_called if some else why, "None is malignant." if some else why)
    return Row(name, figures(some, _patient, measure, 4, draws, reasons), _counted(some))


def birads_row(observations: Sequence[Observation], draws: Draws) -> Row:
    """The radiologists' row of paper A's Table 1 on the same images: their category against the pathology."""
    some = [
        Scored(one.patient, float(category in RECALLED), one.malignant)
        for one in observations
        if one.pathology is not None and (category := birads_of(one)) in RECALLED | NOT_RECALLED
    ]
    row = decision_row(
        "BI-RADS > 3 = malignant", some, draws, "The data hold no BI-RADS categories beside a pathology."
    )
    return Row(row.name, row.cells, row.counts)


def birads_of(one: Observation) -> str | None:
    """The breast's category or, where only its lesions have one, the highest of theirs (0 above 3, below 4)."""
    if one.birads is not None:
        return one.birads
    order = ("1", "2", "3", "0", "4", "4A", "4B", "4C", "5", "6")
    given = [lesion.birads for lesion in one.lesions if lesion.birads in order]
    return max(given, key=lambda category: order.index(str(category)), default=None)


def _decisions(observations: Sequence[Observation], images: Sequence[Scored], draws: Draws) -> Table:
    masses = scored_images(
        one for one in observations if any(lesion.kind is FindingKind.MASS for lesion in one.lesions)
    )
    return Table(
        "decisions",
        "Malignant or not",
        A1_COLUMNS,
        (
            decision_row("these models, images", images, draws, NO_SCORES),
            decision_row("these models, images with masses", masses, draws, NO_SCORES),
            birads_row(observations, draws),
            *printed("A1", A1_COLUMNS),
        ),
        "paper A, Table 1",
        notes=(f"Scores of {_CUT:g} and above count as malignant.", BIRADS_NOTE),
    )


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
        notes=(
            f"Images; scores of {_CUT:g} and above are called malignant. The paper prints its matrix as a picture.",
        ),
    )


def _calibration(images: Sequence[Scored], draws: Draws) -> Table:
    def errors(some: list[Scored]) -> tuple[float, float]:
        scores, malignant = arrays(some)
        return calibration(scores, malignant).error, brier(scores, malignant)

    return Table(
        "calibration",
        "Calibration",
        ("expected calibration error", "Brier score"),
        (Row("images", figures(images, _patient, errors, 2, draws, NO_SCORES), _counted(images)),),
        notes=(
            "Ten bins of equal width. Scores are calibrated for the prevalence that the bundle states: on data with "
            "another share of malignant images they must differ.",
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
        else "The threshold was chosen on these same images, so the figures flatter: give a split with validation "
        "patients."
    )
    return Table(
        "fixed-sensitivity",
        f"Decision at a sensitivity of {FIXED_SENSITIVITY:g}",
        ("threshold", "sensitivity", "specificity"),
        (Row("images", (at, *cells), _counted(images)),),
        notes=(where,),
    )
