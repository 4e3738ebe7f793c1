"""Reads rows about studies from a CSV table, as a RIS exports them or a person writes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from models.errors import UserError

STUDY = ("study_instance_uid", "accession_number")
"""A row names its study by one of them, or both."""

Said = TypeVar("Said")


class NoTable(UserError):
    """The file is no such table; the message says why, and what to do."""


@dataclass(frozen=True)
class BadRow:
    """A line (from 1, the header's) that is not used: the error and the correct form, one sentence."""

    line: int
    why: str


def read_rows(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str],
    parse: Callable[[int, Mapping[str, str]], Iterable[Said]],
) -> tuple[tuple[Said, ...], tuple[BadRow, ...]]:
    """Reads the rows of a CSV file: UTF-8, columns named in its first line, separated by commas or semicolons.

    Args:
        required: columns that must be there, beside one of STUDY.
        optional: columns that may be there.
        parse: makes values of a line's number and its cells by column ("" if the column is missing), or raises
            ValueError with the error of the row and the correct form.

    Returns:
        The values of all rows, in their order, and the rows that cannot be used.

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
    if "\t" in header:
        raise NoTable(f"{path}: its columns are separated by tabs. Separate them by commas or semicolons.")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",")
    known = (*STUDY, *required, *optional)
    parsed: list[Said] = []
    bad_rows = []
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        _check(path, columns, required, known)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            try:
                parsed += tuple(parse(reader.line_num, _row(columns, cells, known)))
            except ValueError as error:
                bad_rows.append(BadRow(reader.line_num, str(error)))
    except csv.Error as error:
        raise NoTable(f"{path}: line {reader.line_num}: is not CSV: {error}.") from error
    return tuple(parsed), tuple(bad_rows)


def _check(path: Path, columns: Sequence[str], required: Sequence[str], known: Sequence[str]) -> None:
    columns_known = f"Columns are {', '.join(known)}."
    if unknown := [name for name in columns if name not in known]:
        raise NoTable(f"{path}: its first line names {unknown[0]!r}, which is no column. {columns_known}")
    if missing := [name for name in required if name not in columns]:
        raise NoTable(f"{path}: its first line names no {missing[0]}. {columns_known}")
    if not set(STUDY) & set(columns):
        raise NoTable(f"{path}: its first line names neither study_instance_uid nor accession_number. {columns_known}")
    if len(set(columns)) < len(columns):
        raise NoTable(f"{path}: its first line names a column twice. {columns_known}")


def _row(columns: Sequence[str], cells: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    if len(cells) != len(columns):
        raise ValueError(f"it has {len(cells)} cells, the first line {len(columns)}: quote cells that hold a separator")
    if any("\0" in cell for cell in cells):
        raise ValueError("a cell holds a NUL character, which is no text: save the table anew as CSV")
    row = dict.fromkeys(known, "") | {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
    if not row["study_instance_uid"] and not row["accession_number"]:
        raise ValueError("it names no study: give study_instance_uid or accession_number")
    return row
