"""What the node repeats costs the same, however many studies are finished."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished_studies import REVISED_EACH, fill, repeated
from sqlalchemy import Engine, event, text

from node.store.database import engine_for, open_database, sessions_of
from node.store.tables import Table

FEW, MANY = REVISED_EACH, 20 * REVISED_EACH
GROW_WITH_THEM = {
    "rejection notes",  # looks at every study that was reported more than once
    "status: unfinished studies",  # a command: counts all studies by their state
}
NAMES = frozenset(repeated(sessions_of(engine_for("sqlite://")), Path()))


def engine_with(studies: int, folder: Path) -> Engine:
    engine = open_database(f"sqlite:///{folder / f'{studies}.sqlite'}")
    fill(engine, studies)
    return engine


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine_with(FEW, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine_with(MANY, tmp_path_factory.mktemp("many"))


def steps(engine: Engine, name: str) -> int:
    """The instructions that SQLite executes."""
    counted: list[None] = []
    engine.dispose()

    def count(connection: object, _: object) -> None:
        connection.set_progress_handler(lambda: counted.append(None), 1)  # type: ignore[attr-defined]  # sqlite3's

    event.listen(engine, "connect", count)
    try:
        repeated(sessions_of(engine), Path("/"))[name]()
    finally:
        event.remove(engine, "connect", count)
        engine.dispose()
    return len(counted)


def plans(engine: Engine, name: str) -> list[str]:
    """EXPLAIN QUERY PLAN of each of its statements, with the statement's values."""
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(*arguments: object) -> None:
        statement, values = str(arguments[2]), arguments[3]
        if statement.startswith(("SELECT", "UPDATE")):
            assert isinstance(values, tuple)
            asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    try:
        repeated(sessions_of(engine), Path("/"))[name]()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        return [
            row.detail
            for statement, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]


@pytest.mark.parametrize("name", sorted(NAMES - GROW_WITH_THEM))
def test_it_takes_as_many_steps_with_twenty_times_as_many_finished_studies(
    few: Engine, many: Engine, name: str
) -> None:
    assert steps(few, name) == steps(many, name)


@pytest.mark.parametrize("name", sorted(NAMES - {"status: unfinished studies"}))
def test_it_scans_no_table(many: Engine, name: str) -> None:
    tables = {*Table.metadata.tables} - {"doomed_file"}  # of what is being deleted at this moment
    scanned = [plan for plan in plans(many, name) if plan.startswith("SCAN") and plan.split()[1] in tables]
    assert scanned == []


def test_rejection_notes_look_only_at_studies_that_were_reported_again(few: Engine, many: Engine) -> None:
    with many.begin() as connection:
        connection.execute(text("UPDATE study SET revision = 1 WHERE id > :few"), {"few": FEW})
    assert steps(many, "rejection notes") < 1.1 * steps(few, "rejection notes")
