"""BI-RADS categories out of a CSV table, as a RIS exports them or a person writes them down."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dicom_io.assessments import StatedAssessment
from node.birads_text import category_in, sides_in

REQUIRED = ("category", "laterality")
STUDY = ("study_instance_uid", "accession_number")
COLUMNS = (*STUDY, "patient_id", *REQUIRED, "assessed_at")
_CATEGORIES = "0, 1, 2, 3, 4, 4A, 4B, 4C, 5 or 6"


class NoTable(Exception):
    """The file is no table of assessments; the message says why, and what helps."""


@dataclass(frozen=True)
class BadRow:
    """A line (from 1, the header's) that is not imported: what is wrong and what would be right, one sentence."""

    line: int
    why: str


@dataclass(frozen=True)
class Table:
    """What a file says: by line the assessments, two where a line is about both breasts."""

    assessments: tuple[StatedAssessment, ...]
    bad_rows: tuple[BadRow, ...]


def read_table(path: Path) -> Table:
    """The assessments in a CSV file: UTF-8, columns named in its first line, separated by commas or semicolons.

    Columns: study_instance_uid or accession_number or both, laterality (L, R, both; empty: the exam), category;
    patient_id and assessed_at (ISO 8601 with a time of day) may be there.

    Raises:
        NoTable: it cannot be read, or its columns are not these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise NoTable(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise NoTable(f"{path}: is not UTF-8. Save it as CSV in UTF-8.") from error
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",")
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        _check(path, columns)
        assessments: list[StatedAssessment] = []
        bad_rows = []
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            try:
                assessments += _assessments(path, reader.line_num, columns, cells)
            except ValueError as error:
                bad_rows.append(BadRow(reader.line_num, str(error)))
    except csv.Error as error:
        raise NoTable(f"{path}: line {reader.line_num}: is not CSV: {error}.") from error
    return Table(tuple(assessments), tuple(bad_rows))


def _check(path: Path, columns: list[str]) -> None:
    known = f"Columns are {', '.join(COLUMNS)}."
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise NoTable(f"{path}: its first line names {unknown[0]!r}, which is no column. {known}")
    if missing := [name for name in REQUIRED if name not in columns]:
        raise NoTable(f"{path}: its first line names no {missing[0]}. {known}")
    if not set(STUDY) & set(columns):
        raise NoTable(f"{path}: its first line names neither study_instance_uid nor accession_number. {known}")
    if len(set(columns)) < len(columns):
        raise NoTable(f"{path}: its first line names a column twice. {known}")


def _assessments(path: Path, line: int, columns: list[str], cells: list[str]) -> list[StatedAssessment]:
    """Raises ValueError: the row cannot be used; the message says why and what would do."""
    if len(cells) != len(columns):
        raise ValueError(f"it has {len(cells)} cells, the first line {len(columns)}: quote cells that hold a separator")
    row = dict.fromkeys(COLUMNS, "") | {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
    if not row["study_instance_uid"] and not row["accession_number"]:
        raise ValueError("it names no study: give study_instance_uid or accession_number")
    category = category_in(row["category"], alone=True)
    if category is None:
        raise ValueError(f"its category is not one of BI-RADS: give {_CATEGORIES}")
    sides = sides_in(row["laterality"])
    if sides is None:
        raise ValueError("its laterality is not known: give L, R, both, or nothing for the exam")
    return [
        StatedAssessment(
            document=f"{path.name}, line {line}",
            study_instance_uid=row["study_instance_uid"],
            accession_number=row["accession_number"],
            patient_id=row["patient_id"],
            laterality=side,
            category=category,
            assessed_at=_moment(row["assessed_at"]),
        )
        for side in sides or (None,)
    ]


def _moment(stated: str) -> datetime | None:
    if not stated:
        return None
    try:
        if len(stated) <= len("2026-01-31"):
            raise ValueError
        return datetime.fromisoformat(stated).astimezone()
    except (ValueError, OverflowError):
        raise ValueError("its assessed_at is no moment: give it like 2026-01-31T14:05, or leave it empty") from None
