"""The migrations and the tables are two tellings of one schema."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from node.database import open_database
from node.tables import Table


def test_a_migrated_database_has_the_schema_that_the_code_speaks_of(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
