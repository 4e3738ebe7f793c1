"""Reads the CSV tables of data sets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.datasets.case import DatasetError

Row = dict[str, str]
"""Values by column; stripped, "" where there is none."""


def read_csv(path: Path, columns: Sequence[str], delimiter: str = ",") -> list[Row]:
    """The rows of a CSV file.

    Args:
        columns: the required columns.

    Raises:
        DatasetError: the file is missing or not UTF-8 text, or a column is missing.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing. The data set is incomplete: fetch it again.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            rows = [_clean(row) for row in reader]
            header = [name.strip() for name in reader.fieldnames or ()]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a CSV file: {error}. Fetch it again.") from error
    check_columns(path, header, columns)
    return rows


def check_columns(path: Path, header: Iterable[str], columns: Sequence[str]) -> None:
    """Raises DatasetError if a table lacks a column."""
    known = set(header)
    if missing := [column for column in columns if column not in known]:
        raise DatasetError(f"{path} has no column {', '.join(missing)}. Fetch the table as it was published.")


def _clean(row: dict[str | None, object]) -> Row:
    # csv.DictReader puts cells beyond the header under the key None, and gives missing cells the value None.
    return {name.strip(): str(value or "").strip() for name, value in row.items() if name is not None}
