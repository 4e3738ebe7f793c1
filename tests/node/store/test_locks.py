"""Locks that the processes of a node share, in a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from postgresql import PostgreSQL
from running import eventually
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, TimeoutError

from node.store.database import Sessions, open_database, sessions_of
from node.store.locks import Locks


@pytest.fixture
def sessions(postgresql: PostgreSQL) -> Iterator[Sessions]:
    with postgresql.queue() as sessions:
        yield sessions


@pytest.fixture
def two(sessions: Sessions) -> Iterator[tuple[Locks, Locks]]:
    """Those of two processes."""
    locks = Locks(sessions), Locks(sessions)
    yield locks
    for each in locks:
        each.close()


def end_connections(sessions: Sessions) -> None:
    """As a restart of the server does."""
    with sessions.begin() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def test_a_lock_is_held_by_one_process_until_it_gives_it_back_or_ends(two):
    one, other = two
    assert one.take("ticks")
    assert one.take("ticks"), "it has it already"
    assert not other.take("ticks")
    assert other.take("another")
    assert not one.is_free("ticks")
    assert not other.is_free("ticks")
    one.give_back("ticks")
    assert other.is_free("ticks")
    assert other.take("ticks")
    assert not one.take("ticks")
    other.close()
    eventually("the server noticed it", lambda: one.take("ticks"))


def test_a_process_whose_connection_is_lost_has_no_lock_and_takes_it_again(sessions, two):
    one, other = two
    assert one.take("ticks")
    end_connections(sessions)
    eventually("the server ended it", lambda: other.take("ticks"))
    assert not one.still_held("ticks")
    other.give_back("ticks")
    assert one.still_held("ticks")


def test_a_process_that_lost_its_connection_is_told_of_it_by_an_error_once(sessions, two):
    one, _ = two
    one.take("ticks")
    end_connections(sessions)
    with pytest.raises(DBAPIError):
        one.take("ticks")
    assert one.take("ticks")


def test_who_waits_for_a_lock_gets_it_when_it_is_given_back_and_not_before(two):
    one, other = two
    order = []

    def wait() -> None:
        with other.holding("study 1.2"):
            order.append("other")

    with ThreadPoolExecutor(1) as pool:
        with one.holding("study 1.2"):
            waiting = pool.submit(wait)
            with pytest.raises(TimeoutError), other.holding("study 1.2", patience_s=0.1):
                order.append("other, too early")
            order.append("one")
        waiting.result()
    assert order == ["one", "other"]


def test_with_sqlite_every_lock_is_had_at_once(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    locks = Locks(sessions_of(engine))
    assert not locks.are_shared
    assert locks.take("ticks")
    with locks.holding("ticks"):
        assert locks.still_held("ticks")
    engine.dispose()


def test_processes_that_start_at_the_same_time_migrate_an_empty_database_once(postgresql):
    opened = "import sys; from node.store.database import open_database; open_database(sys.argv[1])"
    starting = [subprocess.Popen([sys.executable, "-c", opened, url]) for url in [postgresql.empty()] * 3]
    assert [process.wait() for process in starting] == [0, 0, 0]
