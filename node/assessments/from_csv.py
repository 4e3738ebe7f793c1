"""Reads BI-RADS categories from a CSV table."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dicom_io.assessments import StatedAssessment
from models.types.birads import Category
from node.assessments.csv_rows import BadRow, read_rows
from node.assessments.text.report import category_in, sides_in

_CATEGORIES = "0, 1, 2, 3, 4, 4A, 4B, 4C, 5 or 6"


@dataclass(frozen=True)
class Table:
    """The content of a file: assessments by line, two for a line about both breasts."""

    assessments: tuple[StatedAssessment, ...]
    bad_rows: tuple[BadRow, ...]


def read_table(path: Path) -> Table:
    """The assessments in a CSV file.

    Columns: study_instance_uid or accession_number or both, laterality (L, R, both; empty: the exam), category;
    patient_id and assessed_at (ISO 8601 with a time of day) may be there.

    Raises:
        NoTable: it cannot be read, or its columns are not these.
    """
    rows, bad_rows = read_rows(
        path,
        ("category", "laterality"),
        ("patient_id", "assessed_at"),
        lambda line, row: [(line, assessment) for assessment in _assessments(f"{path.name}, line {line}", row)],
    )
    contradicting = _contradictions(rows)
    bad = sorted((*bad_rows, *contradicting.values()), key=lambda row: row.line)
    return Table(tuple(assessment for line, assessment in rows if line not in contradicting), tuple(bad))


def _contradictions(rows: Iterable[tuple[int, StatedAssessment]]) -> dict[int, BadRow]:
    """By line: rows with contradicting categories for a breast or the exam, of which none is later."""
    groups: dict[Hashable, list[tuple[int, Category]]] = {}
    for line, assessment in rows:
        about = (
            assessment.study_instance_uid,
            assessment.accession_number,
            assessment.patient_id,
            assessment.laterality,
            assessment.assessed_at,
        )
        groups.setdefault(about, []).append((line, assessment.category))
    found: dict[int, BadRow] = {}
    for group in groups.values():
        one_of_each = {category: line for line, category in reversed(group)}
        for line, category in group:
            if other := next((there for different, there in one_of_each.items() if different is not category), None):
                found[line] = BadRow(line, f"it contradicts line {other}: keep one, or date both (assessed_at)")
    return found


def _assessments(document: str, row: Mapping[str, str]) -> Iterator[StatedAssessment]:
    """Raises ValueError: the row cannot be used; the message says why and what would do."""
    category = category_in(row["category"], alone=True)
    if category is None:
        raise ValueError(f"its category is not one of BI-RADS: give {_CATEGORIES}")
    sides = sides_in(row["laterality"])
    if sides is None:
        raise ValueError("its laterality is not known: give L, R, both, or nothing for the exam")
    for side in sides or (None,):
        yield StatedAssessment(
            document=document,
            study_instance_uid=row["study_instance_uid"],
            accession_number=row["accession_number"],
            patient_id=row["patient_id"],
            laterality=side,
            category=category,
            assessed_at=_moment(row["assessed_at"]),
        )


def _moment(stated: str) -> datetime | None:
    if not stated:
        return None
    try:
        if len(stated) <= len("2026-01-31"):
            raise ValueError
        return datetime.fromisoformat(stated).astimezone()
    except (ValueError, OverflowError):
        raise ValueError("its assessed_at is no moment: give it like 2026-01-31T14:05, or leave it empty") from None
