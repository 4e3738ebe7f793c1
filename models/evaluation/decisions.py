"""Scored items as decisions and as ranks: the rows of paper A's Table 1, of its confusion matrix (Figure 7), and of
areas under curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.evaluation.scored import Scored, arrays
from models.evaluation.tables import Absent, Cell, Counts, Draws, Row, Table, figures
from models.measures.detection import auc, auc_within
from models.measures.scores import average_precision, confusion

AREA_COLUMNS = ("AUC", "AUC within hospitals", "average precision")
A1_COLUMNS = ("accuracy", "F1", "precision", "recall")
CUT = 0.5
CUT_NOTE = (
    f"{CUT:g} and above counts as malignant: the probability if the bundle is calibrated (at the prevalence it was "
    "fitted at), else the score."
)
WITHIN_NOTE = (
    "Within hospitals only items of the same hospital are compared: the share of all such pairs whose malignant item "
    "has the higher score. Hospitals have their own scanners and shares of malignant cases, so a score that only tells "
    "hospitals apart has an AUC above 0.5, but not within hospitals. Average precision is of all items together."
)
ONE_SORT = "The images are all malignant or none is: both kinds are needed."
NO_HOSPITAL = "The data name no hospital, or none with malignant and other items."
_CONFUSION_COLUMNS = (
    "malignant, called malignant",
    "malignant, not called",
    "not malignant, called malignant",
    "not malignant, not called",
)


def area_row(name: str, some: Sequence[Scored], draws: Draws, why: str) -> Row:
    """Areas under the ROC curve, pooled and within hospitals, and under the precision–recall curve."""
    if len({item.malignant for item in some}) == 2:
        cells = figures(some, patient, areas, 3, draws, (ONE_SORT, NO_HOSPITAL, ONE_SORT))
    else:
        cells = (Absent(ONE_SORT if some else why),) * 3
    return Row(f"{name} ({_sorts(some)})" if some else name, cells, counts(some))


def areas(some: Sequence[Scored]) -> tuple[float, float, float]:
    """The figures of `area_row`."""
    scores, malignant = arrays(some)
    hospitals = np.array([item.hospital for item in some])
    known = hospitals != ""
    within = auc_within(scores[known], malignant[known], hospitals[known])
    return auc(scores, malignant), within, average_precision(scores, malignant)


def hospital_rows(name: str, some: Sequence[Scored], draws: Draws) -> list[Row]:
    """`area_row` of each hospital's items; empty if the data name no hospital."""
    hospitals = sorted({item.hospital for item in some} - {""})
    return [
        area_row(f"{name}, hospital {hospital}", [item for item in some if item.hospital == hospital], draws, "")
        for hospital in hospitals
    ]


def decision_row(name: str, some: Sequence[Scored], draws: Draws, why: str) -> Row:
    """A row of paper A's Table 1: scores of 0.5 and above count as malignant."""
    none_called = "Nothing is called malignant."
    reasons = (why, why, none_called if some else why, "None is malignant." if some else why)
    return Row(name, figures(some, patient, decided, 4, draws, reasons), counts(some))


def decided(some: Sequence[Scored]) -> tuple[float, float, float, float]:
    """The figures of `decision_row`."""
    scores, malignant = arrays(some)
    table = confusion(scores >= CUT, malignant)
    return table.accuracy, table.f1, table.precision, table.recall


def confusion_table(groups: Mapping[str, Sequence[Scored]], why: str) -> Table:
    """The counts of the decisions of each group; `why`: the reason for a group without items."""
    return Table(
        "confusion",
        "Confusion",
        _CONFUSION_COLUMNS,
        tuple(Row(name, _cells(some, why), counts(some)) for name, some in groups.items()),
        "paper A, Figure 7",
        notes=(f"{CUT_NOTE} The paper prints its matrix only as a picture.",),
    )


def _cells(some: Sequence[Scored], why: str) -> tuple[Cell, ...]:
    if not some:
        return (Absent(why),) * len(_CONFUSION_COLUMNS)
    scores, malignant = arrays(some)
    table = confusion(scores >= CUT, malignant)
    return table.true_positive, table.false_negative, table.false_positive, table.true_negative


def patient(item: Scored) -> str:
    """The patient of an item, by whom is resampled."""
    return item.patient


def counts(some: Sequence[Scored]) -> Counts:
    """The numbers of patients and items."""
    return Counts(len({item.patient for item in some}), len(some))


def _sorts(some: Sequence[Scored]) -> str:
    malignant = sum(item.malignant for item in some)
    return f"{malignant} malignant, {len(some) - malignant} not"
