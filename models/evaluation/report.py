"""Writes a report as an HTML page that needs no network, and as JSON with the same numbers."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.durable import write_durably
from models.evaluation.tables import Absent, Cell, Report, Row, Table
from models.measures.detection import Figure
from models.types.words import RESEARCH_USE_ONLY

_USE = f"{RESEARCH_USE_ONLY} These figures say nothing of a clinical performance."
PAGE, DATA = "report.html", "report.json"


def write_report(report: Report, folder: Path) -> None:
    """Writes report.html and report.json into `folder`, which is created if missing."""
    write_durably(folder / PAGE, page(report).encode())
    write_durably(
        folder / DATA, (json.dumps(data(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    )


def data(report: Report) -> dict[str, Any]:
    """The report without its plots. Shares are 0..1, even if the page shows percent.

    A cell is {"value", "low", "high", "undefined"} (low and high are null if there is no interval), {"not_measured":
    why}, a number or a text.
    """
    content: dict[str, Any] = _without_nan(
        {
            "use": _USE,
            "about": asdict(report.about),
            "sections": [
                {
                    "id": section.id,
                    "title": section.title,
                    "text": section.text,
                    "tables": [asdict(table) for table in section.tables],
                    "plots": [plot.id for plot in section.plots],
                }
                for section in report.sections
            ],
        }
    )
    return content


def _without_nan(value: Any) -> Any:
    """The value with None instead of NaN, which JSON does not have."""
    match value:
        case dict():
            return {name: _without_nan(part) for name, part in value.items()}
        case list() | tuple():
            return [_without_nan(part) for part in value]
        case float() if math.isnan(value):
            return None
        case _:
            return value


def page(report: Report) -> str:
    """The self-contained HTML page."""
    environment = templates()
    environment.filters["cell"] = shown
    environment.filters["svg"] = lambda svg: Markup(svg)
    template = environment.get_template("report.html.jinja")
    return template.render(report=report, use=_USE) + "\n"


def templates() -> Environment:
    """The templates of the pages."""
    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def shown(cell: Cell, table: Table, row: Row) -> Markup:
    """A cell as HTML for the page."""
    match cell:
        case Absent() if row.theirs:
            return Markup('<span class="absent" title="{0}">–</span>').format(cell.not_measured)
        case Absent():
            return Markup('<span class="absent" title="{0}">not measured</span>').format(cell.not_measured)
        case Figure() if cell.bare:
            return Markup('{0} <span class="interval">no interval</span>').format(number(cell.value, table))
        case Figure():
            low, high = (number(limit, table) for limit in (cell.low, cell.high))
            return Markup('{0} <span class="interval">{1}–{2}</span>').format(number(cell.value, table), low, high)
        case int() | float():
            return Markup.escape(number(cell, table))
        case _:
            return Markup.escape(cell)


def text(cell: Cell, table: Table) -> str:
    """A cell as text for the terminal."""
    match cell:
        case Absent():
            return "not measured"
        case Figure() if cell.bare:
            return f"{number(cell.value, table)} (no interval)"
        case Figure():
            return f"{number(cell.value, table)} ({number(cell.low, table)}–{number(cell.high, table)})"
        case int() | float():
            return number(cell, table)
        case _:
            return cell


def number(value: float, table: Table) -> str:
    """A share with three decimals, or in percent if its table is; integers unchanged."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "?"
    if table.percent:
        return f"{100 * value:.1f}"
    return (f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}").replace("-", "−")


_TEMPLATES = Path(__file__).with_name("templates")
