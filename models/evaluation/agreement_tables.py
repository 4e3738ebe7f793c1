"""Tables of implied against assigned categories, and of both against the pathology."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from models.birads.agreement import ASSIGNED, IMPLIED, RULE, Bools, Compared, is_calibrated, kappa, ranking
from models.birads.calibration import Level
from models.evaluation.decisions import A1_COLUMNS
from models.evaluation.papers import paper_table
from models.evaluation.tables import Cell, Draws, Row, Table, figures
from models.measures.detection import auc
from models.measures.scores import confusion
from models.types.birads import Agreement

NO_PROBABILITY, NOT_READ = "none: no probability", "none: not read"
UNCALIBRATED = "Scores without a calibration at this level imply no category; only their order is measured."
_NONE_CALLED, _NONE_THERE = "Nothing is called malignant.", "None is malignant."


def confusion_table(some: Sequence[Compared]) -> Table:
    """The number of cases of each implied category (row) and each assigned category (column)."""
    met = Counter((_implied(breast), breast.assigned) for breast in some)
    return Table(
        "confusion",
        "Implied category (down) against assigned category (across)",
        ASSIGNED,
        tuple(Row(row, tuple(met[row, column] for column in ASSIGNED)) for row in (*IMPLIED, NO_PROBABILITY, NOT_READ)),
        notes=("1-2: a score cannot distinguish negative from benign.",),
    )


def agreement_table(some: Sequence[Compared], level: Level, draws: Draws) -> Table:
    """The share of agreement on recall, and Cohen's kappa."""
    both = [breast for breast in some if breast.agreement is not Agreement.NOT_COMPARED]
    ours, theirs = _bools(both, _implied_suspicious), _bools(both, _assigned_suspicious)

    def measure(at: list[int]) -> tuple[float, ...]:
        higher, lower = np.mean(ours[at] & ~theirs[at]), np.mean(theirs[at] & ~ours[at])
        return float(1 - higher - lower), float(higher), float(lower), kappa(ours[at], theirs[at])

    one_side = f"Kappa is not defined: models and radiologists recall every {level}, or none."
    why = one_side if both else f"No {level} has an implied and an assigned category to compare."
    return Table(
        "agreement",
        "Agreement of models and radiologists",
        ("patients", f"{level}s", *list(Agreement)[:3], "Cohen's kappa"),
        (Row("all", (*_numbers(both), *_figures(both, measure, 4, draws, why))),),
        notes=(RULE,),
    )


def decision_table(some: Sequence[Compared], level: Level, draws: Draws) -> Table:
    """The first paper's Table 1: above 3 counts as malignant, for the models and for the radiologists."""
    known = [breast for breast in some if breast.truth is not None]
    models = [breast for breast in known if breast.likelihood is not None]
    assigned = [breast for breast in known if breast.assigned is not None]
    both = [breast for breast in models if breast.assigned is not None] if models else assigned
    columns = ("patients", f"{level}s", "malignant", *A1_COLUMNS)

    def row(name: str, chosen: Sequence[Compared], call: Callable[[Compared], bool | None], why: str) -> Row:
        calls, truths = _bools(chosen, call), _bools(chosen, _truth)

        def measure(at: list[int]) -> tuple[float, ...]:
            table = confusion(calls[at], truths[at])
            return table.accuracy, table.f1, table.precision, table.recall

        whys = (why, _NONE_CALLED, _NONE_CALLED, _NONE_THERE) if chosen else why
        return Row(name, (*_numbers(chosen), int(truths.sum()), *_figures(chosen, measure, 4, draws, whys)))

    no_models = UNCALIBRATED if known else _none_known(level)
    no_radiologists = f"No {level} that was read has both a pathology and a radiologist's category."
    compared = both if models else []
    ours = [
        row("models", models, _implied_suspicious, no_models),
        row("models, with a category", compared, _implied_suspicious, no_radiologists if models else no_models),
        row("radiologists", both, _assigned_suspicious, no_radiologists),
    ]
    notes = (
        f"Above 3 counts as malignant. {RULE}",
        f"The second row is of the {level}s with a radiologist's category, as is the radiologists' row.",
    )
    return paper_table("A1", "Against pathology", columns, ours, notes, "decisions")


def area_table(some: Sequence[Compared], level: Level, draws: Draws) -> Table:
    """The area under the ROC curve of the probabilities or, without a calibration, of the scores."""
    known = [breast for breast in some if breast.truth is not None]
    ranks, truths = ranking(known), _bools(known, _truth)

    def measure(at: list[int]) -> tuple[float]:
        return (auc(ranks[at], truths[at]),)

    why = f"The {level}s are all malignant or none is: both kinds are needed." if known else _none_known(level)
    calibrated = is_calibrated(known)
    name = "the models' probability" if calibrated else "the models' score"
    cells = _figures(known, measure, 1, draws, why)
    return Table(
        "area",
        "Area under the ROC curve",
        ("patients", f"{level}s", "malignant", "AUC"),
        (Row(name, (*_numbers(known), int(truths.sum()), *cells)),),
        notes=() if calibrated or not known else (UNCALIBRATED,),
    )


def _figures(
    some: Sequence[Compared],
    measure: Callable[[list[int]], Sequence[float]],
    width: int,
    draws: Draws,
    why: str | Sequence[str],
) -> tuple[Cell, ...]:
    """`figures` of the indices of `some` instead of its items: resampling arrays is faster."""
    return figures(range(len(some)), lambda at: some[at].patient, measure, width, draws, why)


def _implied(breast: Compared) -> str:
    if breast.likelihood is not None:
        return breast.likelihood.category
    return NOT_READ if breast.score is None else NO_PROBABILITY


def _implied_suspicious(breast: Compared) -> bool | None:
    return breast.implied_suspicious


def _assigned_suspicious(breast: Compared) -> bool | None:
    return breast.assigned_suspicious


def _truth(breast: Compared) -> bool | None:
    return breast.truth


def _bools(some: Sequence[Compared], value: Callable[[Compared], bool | None]) -> Bools:
    """The values as an array; they must be known for all."""
    return np.array([bool(value(breast)) for breast in some], dtype=np.bool_)


def _numbers(some: Sequence[Compared]) -> tuple[int, int]:
    return len({breast.patient for breast in some}), len(some)


def _none_known(level: Level) -> str:
    return f"No {level} that was read has a known pathology."
