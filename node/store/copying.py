"""Copies a whole queue into another database, for example from SQLite to PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from sqlalchemy import Connection, Engine, func, insert, select, text, update
from sqlalchemy import Table as SqlTable
from sqlalchemy.exc import SQLAlchemyError

from models.errors import UserError
from node.store.tables import Table

_AT_ONCE = 500
"""Rows that are written together."""

Progress = Callable[[int, int, str], None]


class CannotCopy(UserError):
    """The queue was not copied; nothing was changed. The message says why, and what to do."""


def copy_queue(source: Engine, target: Engine, progress: Progress) -> dict[str, int]:
    """Copies every row, in one transaction of the target; returns the number of rows of each table.

    Args:
        source: a queue that nobody writes to, of the current schema.
        target: an empty queue of the current schema.
        progress: called with the rows copied, the rows in all, and the table.

    Raises:
        CannotCopy: the target has rows already, or the target does not take a row.
    """
    tables = Table.metadata.sorted_tables
    with source.connect() as reading, target.begin() as writing:
        if full := [table.name for table in tables if _rows(writing, table)]:
            raise CannotCopy(
                f"The target is no empty queue: {', '.join(full)} have rows. Name a database that was just created."
            )
        counts = {table.name: _rows(reading, table) for table in tables}
        done = 0
        try:
            for table in tables:
                for copied in _copy(reading, writing, table):
                    done += copied
                    progress(done, sum(counts.values()), table.name)
        except SQLAlchemyError as error:
            raise CannotCopy(
                f"The target does not take the rows: {type(error).__name__}. It was left empty."
            ) from error
        if different := [table.name for table in tables if _rows(writing, table) != counts[table.name]]:
            raise CannotCopy(f"{', '.join(different)}: rows were written meanwhile. Stop the node, and copy again.")
        return counts


def _rows(connection: Connection, table: SqlTable) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _copy(reading: Connection, writing: Connection, table: SqlTable) -> Iterator[int]:
    """Copies a table; yields the number of rows of each step. Columns that point into the table itself are set last:
    a row may point to a later one."""
    inward = [key.parent for key in table.foreign_keys if key.column.table is table]
    keys = list(table.primary_key.columns)
    pointing: list[dict[str, object]] = []
    rows = iter(reading.execution_options(yield_per=_AT_ONCE).execute(select(table).order_by(*keys)).mappings())
    while values := [dict(row) for row in islice(rows, _AT_ONCE)]:
        for row in values:
            if points := {column.name: row[column.name] for column in inward if row[column.name] is not None}:
                pointing.append({**points, **{key.name: row[key.name] for key in keys}})
                row.update(dict.fromkeys(points))
        writing.execute(insert(table), values)
        yield len(values)
    for later in pointing:
        points = {column.name: later[column.name] for column in inward if column.name in later}
        writing.execute(update(table).where(*(key == later[key.name] for key in keys)).values(points))
    counted = table.autoincrement_column
    if writing.dialect.name == "postgresql" and counted is not None:
        # Its counter does not follow keys that were written.
        last = select(func.coalesce(func.max(counted), 0)).select_from(table).scalar_subquery()
        sequence = func.pg_get_serial_sequence(table.name, counted.name)
        writing.execute(select(func.setval(sequence, last + 1, text("false"))))
