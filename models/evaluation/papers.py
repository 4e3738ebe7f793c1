"""The figures printed in the two papers (papers.toml), as rows of our tables that are marked as theirs."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from models.evaluation.tables import Absent, Cell, Row, Table


def printed(table: str, columns: Sequence[str], only: Collection[str] | None = None) -> tuple[Row, ...]:
    """The rows of a paper's table, in our columns; a figure that the paper does not print is `Absent`.

    Args:
        table: "A1", "A4", "A5", "B1" to "B5".
        columns: ours.
        only: names of rows; None: all.

    Raises:
        KeyError: there is no such table.
    """
    content = _table(table)
    scale = 100 if content.get("percent") else 1
    rows = []
    for name, *values in content["rows"]:
        if only is not None and name not in only:
            continue
        by_column = dict(zip(content["columns"], values, strict=True))
        cells: tuple[Cell, ...] = tuple(
            round(by_column[column] / scale, 6) if column in by_column else Absent("The paper does not print it.")
            for column in columns
        )
        rows.append(Row(name, cells, theirs=f"{content['source']}: theirs, on {content['data']}"))
    return tuple(rows)


def paper_table(
    paper: str,
    title: str,
    columns: tuple[str, ...],
    ours: Sequence[Row],
    notes: Sequence[str] = (),
    name: str = "",
) -> Table:
    """Our rows, followed by those of a paper's table; percent if the paper prints percent.

    Args:
        paper: see `printed`.
        name: the table's id; "": that of the paper's table.

    Raises:
        KeyError: there is no such table.
    """
    content = _table(paper)
    return Table(
        name or paper,
        title,
        columns,
        (*ours, *printed(paper, columns)),
        content["source"],
        percent=bool(content.get("percent")),
        notes=tuple(notes),
    )


def _table(name: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(_PAPERS.read_text(encoding="utf-8"))[name]
    return table


_PAPERS = Path(__file__).with_name("papers.toml")
