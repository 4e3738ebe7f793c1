"""The comparison with the radiologists as JSON, CSV and pictures. These name studies by their Study Instance UIDs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicom_io.durable import write_durably
from models.birads.agreement import RULE
from models.evaluation.tables import Absent, Cell, Draws, Plot, Row, Table
from models.measures.detection import Figure
from models.types.words import RESEARCH_USE_ONLY
from node.agreement.stats import AnalysisUnit, ArchiveStats
from node.assessments.csv_rows import BadRow

DISCORDANT = (
    "study",
    "study_instance_uid",
    "laterality",
    "implied",
    "assigned",
    "agreement",
    "probability",
    "pathology",
)


def write(
    folder: Path, stats: ArchiveStats, tables: Sequence[Table], values: Mapping[str, Any], plots: Sequence[Plot]
) -> list[Path]:
    """Writes stats.json, discordant.csv, confusion.csv and a picture (SVG) for each plot; `folder` is made."""
    confusion = next(table for table in tables if table.id == "confusion")
    files = {
        "stats.json": as_json(values),
        "discordant.csv": discordant_csv(stats),
        "confusion.csv": _csv((["implied", *confusion.columns], *([row.name, *row.cells] for row in confusion.rows))),
        **{f"{plot.id}.svg": plot.svg + "\n" for plot in plots},
    }
    for name, text in files.items():
        write_durably(folder / name, text.encode())
    return [folder / name for name in files]


def as_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def values_of(
    stats: ArchiveStats, tables: Sequence[Table], left_out: Mapping[str, int], bad_rows: Iterable[BadRow], draws: Draws
) -> dict[str, Any]:
    """The values for JSON.

    A cell of a table is a number, {"value", "low", "high"} with the 95 % interval (null where there is none), or
    {"not_measured": why}.
    """
    return {
        "use": RESEARCH_USE_ONLY,
        "level": stats.level,
        "rule": RULE,
        "bootstrap": {"by": "patient", "draws": draws.resamples, "seed": draws.seed},
        "read_by": dict(stats.bundles),
        "left_out": dict(left_out),
        "bad_rows": {str(row.line): row.why for row in bad_rows},
        "tables": {table.id: _table(table) for table in tables},
        "discordant": [_discordant(unit) for unit in stats.discordant],
    }


def discordant_csv(stats: ArchiveStats) -> str:
    """The breasts or exams where one category is below 3 and the other is not, one per line."""
    rows = (_discordant(unit) for unit in stats.discordant)
    return _csv((DISCORDANT, *(["" if row[name] is None else row[name] for name in DISCORDANT] for row in rows)))


def _discordant(unit: AnalysisUnit) -> dict[str, Any]:
    compared = unit.compared
    likelihood = compared.likelihood
    return {
        "study": unit.study,
        "study_instance_uid": unit.study_instance_uid,
        "laterality": unit.laterality,
        "implied": likelihood and likelihood.category,
        "assigned": compared.assigned,
        "agreement": compared.agreement,
        "probability": likelihood and round(likelihood.probability, 6),
        "pathology": pathology_of(unit),
    }


def pathology_of(unit: AnalysisUnit) -> str | None:
    """ "malignant", "benign"; None where it is not known."""
    return {True: "malignant", False: "benign", None: None}[unit.compared.malignant]


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "notes": [*table.notes, *table.intervals],
        "ours": [_row(table, row) for row in table.rows if not row.theirs],
        "printed": [_row(table, row) | {"source": row.theirs} for row in table.rows if row.theirs],
    }


def _row(table: Table, row: Row) -> dict[str, Any]:
    cells = {name: _cell(cell) for name, cell in zip(table.columns, row.cells, strict=True)}
    return {"name": row.name} | cells


def _cell(cell: Cell) -> Any:
    match cell:
        case Absent():
            return {"not_measured": cell.not_measured}
        case Figure() if cell.bare:
            return {"value": cell.value, "low": None, "high": None}
        case Figure():
            return {"value": cell.value, "low": cell.low, "high": cell.high}
        case _:
            return cell


def _csv(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
