"""The time of a node is that of its PostgreSQL, carried on by a steady clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from clock import Clock
from postgresql import PostgreSQL
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from node.store.database import Sessions, engine_for, open_database, sessions_of
from node.store.database_clock import DatabaseClock, node_clock


@pytest.fixture
def sessions(postgresql: PostgreSQL) -> Iterator[Sessions]:
    engine = open_database(postgresql.fresh())
    yield sessions_of(engine)
    engine.dispose()


def its_time(sessions: Sessions) -> float:
    with sessions.begin() as session:
        return float(session.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def test_it_is_the_databases_whatever_this_machines_is_and_the_difference_is_said(sessions: Sessions, caplog):
    before, wrong = its_time(sessions), Clock(1_000_000.0)
    clock = node_clock(sessions, wrong, Clock(7.0))
    assert before <= clock() <= its_time(sessions)
    assert "from the database's, by which the node goes" in caplog.text


def test_between_two_answers_it_goes_on_with_the_steady_clock_and_then_follows_the_database(sessions: Sessions, caplog):
    steady = Clock(7.0)
    clock = DatabaseClock(sessions, steady)
    began = clock()
    steady.seconds += 100
    assert clock() == began + 100
    clock.ask_again()
    assert began <= clock() <= its_time(sessions), "the database's went on by less"
    assert "the database's clock was set by -" in caplog.text
    caplog.clear()
    clock.ask_again()
    assert not caplog.records


def test_an_answer_that_came_late_is_not_believed(sessions: Sessions):
    steady, slow = Clock(7.0), threading.Event()

    def ticking() -> float:
        if slow.is_set():
            steady.seconds += 50
        return steady.seconds

    clock = DatabaseClock(sessions, ticking)
    began = clock()
    slow.set()
    clock.ask_again()
    slow.clear()
    assert clock() == began + 100


def test_while_the_database_is_away_it_goes_on(closed_port: int, sessions: Sessions, caplog):
    steady, stop = Clock(7.0), threading.Event()
    clock = DatabaseClock(sessions, steady)
    began = clock()
    away = sessions_of(engine_for(f"postgresql+psycopg://nobody@127.0.0.1:{closed_port}/queue"))
    clock._sessions = away
    with pytest.raises(OperationalError):
        clock.ask_again()
    steady.seconds += 5
    assert clock() == began + 5
    stop.set()
    clock.follow(stop)


def test_with_sqlite_it_is_this_machines(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    wall = Clock(12.0)
    clock = node_clock(sessions_of(engine), wall, Clock())
    assert clock() == 12.0
    wall.seconds = 40.0
    assert clock() == 40.0
    engine.dispose()
