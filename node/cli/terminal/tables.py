"""Prints the table of a report on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.evaluation.tables import Table


def print_table(table: Table) -> None:
    """Prints a table in the width of the terminal; into a file or pipe in 160 characters."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as TerminalTable

    from models.evaluation.report import text
    from models.evaluation.tables import Absent

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    shown = TerminalTable(title=f"{table.title} {table.source}", box=box.SIMPLE_HEAD, title_justify="left")
    shown.add_column("")
    for column in table.columns:
        shown.add_column(f"{column} %" if table.percent else column, justify="right")
    for row in table.rows:
        style = "dim" if row.theirs else ""
        name = f"theirs: {row.name}" if row.theirs else row.name
        shown.add_row(
            name,
            *("–" if row.theirs and isinstance(cell, Absent) else text(cell, table) for cell in row.cells),
            style=style,
        )
    console.print(shown)
