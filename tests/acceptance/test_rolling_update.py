"""A newer version is started while processes of the older one still run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_nodes import SETTINGS
from postgresql import PostgreSQL
from running import RunningNode, eventually
from sqlalchemy import create_engine, text

from node.archive.lock import part_of_a_node
from node.store.advisory import AT_WORK
from node.store.database import QueueUnusable, engine_for, migrate, open_database, sessions_of
from node.store.locks import Locks

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

OLDER = "0028"


def schema(url: str, becomes: str | None = None) -> str:
    engine = create_engine(url)
    with engine.begin() as connection:
        if becomes is not None:
            connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": becomes})
        its = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    engine.dispose()
    return str(its)


def older_queue(url: str) -> str:
    engine = engine_for(url)
    migrate(engine, OLDER)
    engine.dispose()
    return url


@pytest.fixture
def node(tmp_path: Path, eager_bundle: Path, postgresql: PostgreSQL) -> Iterator[RunningNode]:
    """A part of a node, with its queue in PostgreSQL."""
    settings = SETTINGS.format(bundle=eager_bundle, port=1, quiet_s=1)
    node = RunningNode(tmp_path / "node", settings, database_url=postgresql.fresh(), only="receive")
    node.start()
    yield node
    node.end()


def test_with_postgresql_it_waits_for_the_older_processes_and_names_them(postgresql: PostgreSQL):
    url = older_queue(postgresql.empty())
    engine = engine_for(url)
    older = Locks(sessions_of(engine), "mammo-2-1a2b3c4d")
    assert older.share(AT_WORK)
    with pytest.raises(QueueUnusable, match=r"still run: mammo-2-1a2b3c4d at 127\.0\.0\.1\. Stop all"):
        open_database(url)
    assert schema(url) == OLDER
    older.close()
    engine.dispose()
    eventually("the server knows that it has ended", lambda: migrated(url))
    assert schema(url) > OLDER


def migrated(url: str) -> bool:
    try:
        open_database(url).dispose()
    except QueueUnusable:
        return False
    return True


def test_a_running_process_is_named_and_its_tables_are_left_alone(node: RunningNode):
    ours = schema(node.database_url, OLDER)
    with pytest.raises(QueueUnusable, match=r"still run: \S+-[0-9a-f]{8} at 127\.0\.0\.1\."):
        open_database(node.database_url)
    assert schema(node.database_url) == ours == OLDER


def test_a_process_that_lost_its_connection_while_a_newer_version_changed_the_tables_ends(node: RunningNode):
    schema(node.database_url, "9999")
    engine = create_engine(node.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"))
    engine.dispose()
    assert node.ended() == 2
    assert "used by a newer mammo-node (schema 9999)" in node.log.read_text()


def test_with_sqlite_it_waits_for_the_older_parts_too(tmp_path: Path, eager_bundle: Path):
    settings = SETTINGS.format(bundle=eager_bundle, port=1, quiet_s=1)
    node = RunningNode(tmp_path / "node", settings, only="receive")
    node.data_dir.mkdir(mode=0o700)
    url = older_queue(node.database_url)
    with part_of_a_node(node.data_dir, url, ["report"]):
        refused = node.command("serve", "--only", "receive")
        assert refused.returncode == 2
        assert "stop all processes of the node, then start them" in refused.stderr
        assert schema(url) == OLDER
    node.start()
    assert schema(url) > OLDER
    node.end()
