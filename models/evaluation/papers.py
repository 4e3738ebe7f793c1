"""What the two papers print (papers.toml), as rows that stand beside ours and are marked as theirs."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path

from models.evaluation.tables import Absent, Cell, Row


def printed(table: str, columns: Sequence[str], only: Collection[str] | None = None) -> tuple[Row, ...]:
    """The rows of a paper's table, put under our columns; what the paper does not print says so.

    Args:
        table: "A1", "A4", "A5", "B1" to "B5".
        columns: ours.
        only: names of rows; all where not given.

    Raises:
        KeyError: there is no such table.
    """
    said = tomllib.loads(_PAPERS.read_text(encoding="utf-8"))[table]
    scale = 100 if said.get("percent") else 1
    rows = []
    for name, *values in said["rows"]:
        if only is not None and name not in only:
            continue
        by_column = dict(zip(said["columns"], values, strict=True))
        cells: tuple[Cell, ...] = tuple(
            round(by_column[column] / scale, 6) if column in by_column else Absent("The paper does not print it.")
            for column in columns
        )
        rows.append(Row(name, cells, theirs=f"{said['source']}: theirs, on {said['data']}"))
    return tuple(rows)


_PAPERS = Path(__file__).with_name("papers.toml")
