"""The content of a report: sections with tables and plots. report.py writes it as HTML and as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from models.measures.detection import LEAST_PATIENTS, RESAMPLES, Figure, with_intervals

Item = TypeVar("Item")


@dataclass(frozen=True)
class Draws:
    """The bootstrap's seed and number of resamples."""

    seed: int = 1
    resamples: int = RESAMPLES


@dataclass(frozen=True)
class Absent:
    """A figure that was not measured, and the reason: a cell is never empty."""

    not_measured: str


Cell = Figure | Absent | float | int | str


@dataclass(frozen=True)
class Counts:
    """The numbers of patients, images and lesions of a row; None if lesions are not counted."""

    patients: int
    images: int
    lesions: int | None = None


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        theirs: for a row printed in a paper: the paper's table and data; "" for ours.
        oracle: whether it was chosen by the truth, which is not known when a node reads.
    """

    name: str
    cells: tuple[Cell, ...]
    counts: Counts | None = None
    theirs: str = ""
    oracle: bool = False


@dataclass(frozen=True)
class Table:
    """A table of figures.

    Attributes:
        source: the corresponding table or figure of a paper; "" for none.
        percent: whether figures are shown in percent, as in the paper; they are stored as shares.
        notes: explanations below the table.
    """

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    source: str = ""
    percent: bool = False
    notes: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons for absent figures, each once."""
        ours = (cell for row in self.rows if not row.theirs for cell in row.cells)
        return tuple(dict.fromkeys(cell.not_measured for cell in ours if isinstance(cell, Absent)))

    @property
    def intervals(self) -> tuple[str, ...]:
        """Notes on missing intervals, and on draws in which a figure was not defined."""
        ours = [cell for row in self.rows if not row.theirs for cell in row.cells if isinstance(cell, Figure)]
        sentences = []
        if any(figure.bare for figure in ours):
            sentences.append(
                f"No interval: the figure depends on fewer than {LEAST_PATIENTS} patients, or is defined in no draw."
            )
        if most := max((figure.undefined for figure in ours), default=0):
            sentences.append(f"Draws in which a figure was not defined are ignored: {most} at most.")
        return tuple(sentences)


@dataclass(frozen=True)
class Plot:
    """A picture, as self-contained SVG."""

    id: str
    title: str
    svg: str


@dataclass(frozen=True)
class Section:
    """Tables and plots about one question."""

    id: str
    title: str
    text: str
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True)
class About:
    """The head of a report: the models and the data.

    Attributes:
        models: the bundle's name and version, or the recipe's.
        data: the data sets as given on the command line.
        side: the evaluated images ("test of split.json", "all").
        lines: further names and values.
        left_out: name and reason of every image that was not used.
        warnings: reasons why the figures may be too good.
        elsewhere: images that were not requested, a sentence per group.
    """

    title: str
    models: str
    data: tuple[str, ...]
    side: str
    lines: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The report of an evaluation or an ablation study."""

    about: About
    sections: tuple[Section, ...] = ()


def figures(
    items: Sequence[Item],
    patient: Callable[[Item], str],
    measure: Callable[[list[Item]], Sequence[float]],
    width: int,
    draws: Draws,
    why: str | Sequence[str],
) -> tuple[Cell, ...]:
    """`width` figures of the items with their intervals; `Absent(why)` for each figure that is not defined.

    Args:
        patient: the patient of an item.
        measure: the figures of some items; NaN if one is not defined.
        width: the number of figures.
        why: the reason why a figure is not defined: one sentence for all, or one for each.
    """
    reasons = [why] * width if isinstance(why, str) else why
    if not items:
        return tuple(Absent(reason) for reason in reasons)
    measured = with_intervals(
        [patient(item) for item in items],
        lambda at: measure([items[index] for index in at]),
        draws.seed,
        draws.resamples,
    )
    return tuple(
        Absent(reason) if math.isnan(figure.value) else figure for figure, reason in zip(measured, reasons, strict=True)
    )
