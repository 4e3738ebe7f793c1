"""What the node does after each kind of error of PostgreSQL, which a real one raises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgresql import PostgreSQL, debian_postgresql
from running import eventually
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from node.store.database import Sessions, engine_for, open_database, sessions_of
from node.store.faults import describe_fault, is_passing
from node.store.locks import Locks
from node.store.sqlstates import Meaning, meaning_of

pytestmark = pytest.mark.slow

AGAIN = ["40001", "40003", "40P01", "53000", "53100", "53200", "53300", "53400", "55006", "55P03", "57014", "58000",
         "58030", "58P01", "72000"]  # fmt: skip
CONNECT_AGAIN = ["08000", "08003", "08006", "25006", "25P03", "25P04", "57000", "57P01", "57P02", "57P03", "57P05"]
LASTING = ["22001", "23505", "25P02", "28000", "42501", "42703", "42P01", "54000", "XX000", "XX001", "XX002"]
"""Too long a value, a second row, what follows an error, permissions, columns, tables, limits, damaged data."""


@pytest.fixture
def sessions(postgresql: PostgreSQL) -> Iterator[Sessions]:
    engine = open_database(postgresql.fresh())
    yield sessions_of(engine)
    engine.dispose()


def backend(sessions: Sessions) -> object:
    """Which of the server's processes answers."""
    with sessions.begin() as session:
        return session.scalar(text("SELECT pg_backend_pid()"))


def fail(sessions: Sessions, sqlstate: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as failed, sessions.begin() as session:
        session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'it fails' USING ERRCODE = '{sqlstate}'; END $$"))
    return failed.value


@pytest.mark.parametrize("sqlstate", AGAIN)
def test_what_passes_is_tried_again_on_the_same_connection(sessions: Sessions, sqlstate: str) -> None:
    before = backend(sessions)
    assert is_passing(fault := fail(sessions, sqlstate))
    assert describe_fault(fault) == "the database: it fails"
    assert backend(sessions) == before


@pytest.mark.parametrize("sqlstate", CONNECT_AGAIN)
def test_after_a_server_that_ends_or_only_reads_another_connection_is_made(sessions: Sessions, sqlstate: str) -> None:
    before = backend(sessions)
    assert is_passing(fail(sessions, sqlstate))
    assert backend(sessions) != before


@pytest.mark.parametrize("sqlstate", LASTING)
def test_what_fails_each_time_does_not_count_as_a_fault_that_passes(sessions: Sessions, sqlstate: str) -> None:
    before = backend(sessions)
    assert not is_passing(fail(sessions, sqlstate))
    assert meaning_of(sqlstate) is Meaning.LASTING
    assert backend(sessions) == before


def test_a_connection_that_the_server_ended_and_a_server_that_is_away_pass(
    postgresql: PostgreSQL, sessions: Sessions, closed_port: int
) -> None:
    with sessions() as session:
        number = session.scalar(text("SELECT pg_backend_pid()"))
        postgresql.run(f"SELECT pg_terminate_backend({number}, 5000)")
        with pytest.raises(DBAPIError) as failed:
            session.execute(text("SELECT 1"))
    assert is_passing(failed.value)
    away = sessions_of(engine_for(f"postgresql+psycopg://nobody@127.0.0.1:{closed_port}/queue"))
    with pytest.raises(DBAPIError) as failed, away.begin() as session:
        session.execute(text("SELECT 1"))
    assert is_passing(failed.value)


def test_who_holds_a_lock_of_a_server_that_only_reads_has_it_no_more(
    postgresql: PostgreSQL, sessions: Sessions
) -> None:
    locks = Locks(sessions)
    assert locks.take("ticks")
    with postgresql.only_reading():
        eventually("the session has read the new settings", lambda: not locks.still_held("ticks"))
        assert not locks.never_lost("ticks")
        with pytest.raises(DBAPIError, match="read-only"):
            locks.is_free("another")
    assert locks.still_held("ticks")
    locks.close()


def refuses_writes(sessions: Sessions) -> bool:
    with sessions() as session:
        try:
            session.execute(text("CREATE TABLE IF NOT EXISTS written (number int)"))
        except DBAPIError as refused:
            return "read-only" in str(refused)
        return False


def test_of_several_hosts_the_one_that_writes_is_found_after_a_failover(postgresql: PostgreSQL) -> None:
    with debian_postgresql() as other:
        hosts = "&".join(f"host=127.0.0.1:{server.port}" for server in (postgresql, other))
        sessions = sessions_of(engine_for(f"postgresql+psycopg://mammo@/postgres?{hosts}"))

        def server_that_writes() -> object:
            with sessions.begin() as session:
                session.execute(text("CREATE TEMPORARY SEQUENCE written"))
                session.execute(text("SELECT nextval('written')"))
                return session.scalar(text("SELECT current_setting('port')::int"))

        assert server_that_writes() == postgresql.port
        with postgresql.only_reading():
            eventually("the session has read the new settings", lambda: refuses_writes(sessions))
            assert server_that_writes() == other.port
        sessions.kw["bind"].dispose()


def test_a_server_that_hangs_is_given_up_after_a_while_and_another_connection_is_made(postgresql: PostgreSQL) -> None:
    sessions = sessions_of(engine_for(postgresql.fresh(), answer_s=1))
    before = backend(sessions)
    with postgresql.hanging(), sessions() as session, pytest.raises(DBAPIError, match="no answer within 1 s") as failed:
        session.execute(text("SELECT 1"))
    assert is_passing(failed.value)
    assert backend(sessions) != before
    sessions.kw["bind"].dispose()


def test_a_lock_is_not_waited_for_without_end(postgresql: PostgreSQL) -> None:
    url = postgresql.fresh()
    holder, waiter = sessions_of(engine_for(url)), sessions_of(engine_for(url, answer_s=1))
    with holder.begin() as holding:
        holding.execute(text("LOCK TABLE study"))
        with waiter() as session, pytest.raises(DBAPIError, match="no answer within 1 s"):
            session.execute(text("SELECT count(*) FROM study"))
    for sessions in (holder, waiter):
        sessions.kw["bind"].dispose()
