"""Reads one sheet of an Excel workbook as a table (ECMA-376 Part 1, §18): only texts and numbers."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as xml

from models.datasets.case import DatasetError
from models.datasets.tables import Row, check_columns

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_LARGEST_PART = 100_000_000
"""Bytes. A data set's table is far smaller: a workbook with a larger part is refused."""


def read_sheet(path: Path, columns: Sequence[str], sheet: str = "all") -> list[Row]:
    """The rows below the header row, by column name; stripped, "" where a cell is empty.

    Args:
        columns: the required columns.
        sheet: its name; if the workbook has no sheet of this name, its first sheet is read.

    Raises:
        DatasetError: the file is missing or not a workbook, or a column is missing.
    """
    try:
        with zipfile.ZipFile(path) as book:
            texts = _shared_texts(book)
            rows = [_cells(row, texts) for row in _part(book, _place(book, sheet)).iter(f"{_MAIN}row")]
    except OSError as error:
        raise DatasetError(f"{path} cannot be opened: {error.strerror}. Fetch it again.") from error
    except (zipfile.BadZipFile, xml.ParseError, LookupError, ValueError) as error:
        raise DatasetError(f"{path} is not an Excel workbook. Fetch it again, or save it as CSV.") from error
    header = rows[0] if rows else {}
    check_columns(path, header.values(), columns)
    return [{name: row.get(place, "") for place, name in header.items()} for row in rows[1:] if any(row.values())]


def _place(book: zipfile.ZipFile, name: str) -> str:
    sheets = list(_part(book, "xl/workbook.xml").iter(f"{_MAIN}sheet"))
    chosen = next((sheet for sheet in sheets if sheet.get("name", "").strip().lower() == name), sheets[0])
    relations = _part(book, "xl/_rels/workbook.xml.rels")
    target = next(relation.get("Target", "") for relation in relations if relation.get("Id") == chosen.get(_RELATION))
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _shared_texts(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    return [_text(item) for item in _part(book, "xl/sharedStrings.xml").iter(f"{_MAIN}si")]


def _cells(row: xml.Element, texts: Sequence[str]) -> dict[str, str]:
    """The row's cells by column letters."""
    cells = {}
    for cell in row.iter(f"{_MAIN}c"):
        value = cell.findtext(f"{_MAIN}v", "")
        match cell.get("t"):
            case "s":
                value = texts[int(value)]
            case "inlineStr":
                value = _text(cell)
            case "n" | None:
                value = value.removesuffix(".0")
        cells[re.sub(r"\d", "", cell.get("r", ""))] = value.strip()
    return cells


def _text(element: xml.Element) -> str:
    return "".join(part.text or "" for part in element.iter(f"{_MAIN}t"))


def _part(book: zipfile.ZipFile, name: str) -> xml.Element:
    if book.getinfo(name).file_size > _LARGEST_PART:
        raise ValueError("too large a part")
    # Expat refuses entities that grow without bound (2.4.1 and later), and resolves no external ones.
    return xml.fromstring(book.read(name))
