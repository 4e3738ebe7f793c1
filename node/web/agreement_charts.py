"""Places the charts of agreement, made of its tables; templates draw them as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from models.birads.agreement import ASSIGNED, IMPLIED
from models.birads.categories import SUSPICIOUS
from models.evaluation.tables import Row, Table
from models.measures.detection import Figure
from models.types.birads import Agreement, Category

SHADES = 5
_CELL_WIDTH, _CELL_HEIGHT, _LEFT, _TOP = 72, 46, 84, 42
_ACROSS = [place for place, category in enumerate(ASSIGNED) if category is not Category.SIX]
_LINE_HEIGHT, _BAR_TOP, _BAR_HEIGHT, _BAR_LEFT, _BAR_WIDTH = 68, 36, 22, 4, 700


@dataclass(frozen=True)
class Field:
    """A field of the grid that holds `count` cases; `shade`: 1 (few) to SHADES (as many as any has)."""

    x: float
    y: float
    count: int
    shade: int


@dataclass(frozen=True)
class Name:
    """A category at the middle of its row or column."""

    at: float
    text: str


@dataclass(frozen=True)
class Grid:
    """How often each implied category (rows) met each assigned one (columns). `recalled_from`: the columns from here on
    are the radiologist's recalls."""

    fields: tuple[Field, ...]
    rows: tuple[Name, ...]
    columns: tuple[Name, ...]
    recalled_from: float
    width: float
    height: float
    left: int = _LEFT
    top: int = _TOP
    cell_width: int = _CELL_WIDTH
    cell_height: int = _CELL_HEIGHT


@dataclass(frozen=True)
class Share:
    """A share as a bar at `y` under its name, and its 95 % interval as a line over it (None: none is known); all in the
    chart's units."""

    name: str
    y: float
    width: float
    says: str
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Shares:
    """Shares of the whole, one below the other; `marks` are those of the axis, in percent."""

    shares: tuple[Share, ...]
    marks: tuple[Name, ...]
    height: float
    left: int = _BAR_LEFT
    width: float = _BAR_LEFT + _BAR_WIDTH + 50
    bar_height: int = _BAR_HEIGHT


def confusion_grid(table: Table) -> Grid | None:
    """The table of implied against assigned categories; None: no case has both."""
    rows = [row for row in table.rows if row.name in set(IMPLIED)]
    most = max((_count(row, place) for row in rows for place in _ACROSS), default=0)
    if not most:
        return None
    fields = [
        Field(_LEFT + column * _CELL_WIDTH, _TOP + line * _CELL_HEIGHT, count, _shade(count, most))
        for line, row in enumerate(rows)
        for column, place in enumerate(_ACROSS)
        if (count := _count(row, place))
    ]
    names = [ASSIGNED[place] for place in _ACROSS]
    unsuspicious = sum(category not in SUSPICIOUS for category in names)
    return Grid(
        tuple(fields),
        tuple(Name(_TOP + (line + 0.5) * _CELL_HEIGHT, row.name) for line, row in enumerate(rows)),
        tuple(Name(_LEFT + (column + 0.5) * _CELL_WIDTH, str(name)) for column, name in enumerate(names)),
        _LEFT + unsuspicious * _CELL_WIDTH,
        _LEFT + len(names) * _CELL_WIDTH + 2,
        _TOP + len(rows) * _CELL_HEIGHT + 2,
    )


def agreement_shares(table: Table) -> Shares | None:
    """The shares of agreement and of either disagreement; None: nothing is compared."""
    shares = tuple(_shares(table))
    if not shares:
        return None
    marks = tuple(Name(_BAR_LEFT + _BAR_WIDTH * percent / 100, f"{percent} %") for percent in (0, 25, 50, 75, 100))
    return Shares(shares, marks, len(shares) * _LINE_HEIGHT + 36)


def _shares(table: Table) -> Iterator[Share]:
    (row,) = table.rows
    found = dict(zip(table.columns, row.cells, strict=True))
    for line, agreement in enumerate((Agreement.AGREE, Agreement.AI_HIGHER, Agreement.AI_LOWER)):
        cell = found[agreement]
        if not isinstance(cell, Figure):
            return
        interval = None if cell.bare else (_BAR_LEFT + _BAR_WIDTH * cell.low, _BAR_LEFT + _BAR_WIDTH * cell.high)
        within = "" if cell.bare else f" (95 % interval {_percent(cell.low)} to {_percent(cell.high)})"
        yield Share(
            agreement,
            line * _LINE_HEIGHT + _BAR_TOP,
            _BAR_WIDTH * cell.value,
            f"{_percent(cell.value)}{within}",
            interval,
        )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _count(row: Row, place: int) -> int:
    count = row.cells[place]
    return count if isinstance(count, int) else 0


def _shade(count: int, most: int) -> int:
    """By the root: small counts stay visible beside large ones."""
    return max(1, math.ceil(SHADES * math.sqrt(count / most)))
