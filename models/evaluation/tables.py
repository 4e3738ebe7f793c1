"""What a report is made of: sections with tables and plots. The HTML page and the JSON file are two prints of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from models.measures.detection import LEAST_PATIENTS, RESAMPLES, Figure, with_intervals

Item = TypeVar("Item")


@dataclass(frozen=True)
class Draws:
    """How intervals are drawn: the bootstrap's seed and how often it draws."""

    seed: int = 1
    resamples: int = RESAMPLES


@dataclass(frozen=True)
class Absent:
    """A figure that was not measured, and why: it is never left empty and never made up."""

    not_measured: str


Cell = Figure | Absent | float | int | str


@dataclass(frozen=True)
class Counts:
    """What a row was measured on; None where the row does not count it."""

    patients: int
    images: int
    lesions: int | None = None


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        theirs: the paper's table and data, where the row is printed by a paper; "" for ours.
        oracle: chosen by a look at the truth: no reader could do it.
    """

    name: str
    cells: tuple[Cell, ...]
    counts: Counts | None = None
    theirs: str = ""
    oracle: bool = False


@dataclass(frozen=True)
class Table:
    """Figures side by side.

    Attributes:
        source: the table or figure of a paper that it answers; "" for none.
        percent: figures are shown in percent, as the paper prints them; they are stored as shares, the paper's too.
        notes: what must be known to read it.
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
        """Why figures are absent, each reason once."""
        ours = (cell for row in self.rows if not row.theirs for cell in row.cells)
        return tuple(dict.fromkeys(cell.not_measured for cell in ours if isinstance(cell, Absent)))

    @property
    def intervals(self) -> tuple[str, ...]:
        """What is to be said of the intervals, where not every draw made one."""
        ours = [cell for row in self.rows if not row.theirs for cell in row.cells if isinstance(cell, Figure)]
        said = []
        if any(figure.bare for figure in ours):
            said.append(
                f"No interval: of fewer than {LEAST_PATIENTS} patients of its own (too few), or defined in no draw."
            )
        if most := max((figure.undefined for figure in ours), default=0):
            said.append(f"Draws in which a figure was not defined are passed over: {most} at most.")
        return tuple(said)


@dataclass(frozen=True)
class Plot:
    """A picture beside the tables: SVG, whole in itself."""

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
    """What was measured on what.

    Attributes:
        models: the bundle's name and version, or the recipe's.
        data: the data sets as they were given.
        side: which images of them ("test of split.json", "all").
        lines: name and value, for the head of the report.
        left_out: name and reason of every image that was not used.
        warnings: what makes the figures flatter; stands at the head of the report.
        elsewhere: images that were not asked for, a sentence a sort.
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
    """An evaluation, ready to be printed."""

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
    """`width` figures of some items with their intervals; `Absent(why)` for each that is not defined on them.

    Args:
        patient: whose an item is.
        measure: the figures of some items; NaN where one is not defined.
        why: one sentence on what is missing where one is not; one for all, or one for each.
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
