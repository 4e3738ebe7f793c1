"""What a process of several does while its locks cannot be had: it goes on, and has them again after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest
from postgresql import PostgreSQL, lose_locks
from running import eventually

from node.life import begin_to_live, stay_alive
from node.parts import life_of
from node.store.advisory import processes_at_work
from node.store.database import QueueUnusable, Sessions
from node.store.locks import Locks

pytestmark = pytest.mark.slow

NAME = "a-1"


@pytest.fixture
def sessions(postgresql: PostgreSQL) -> Iterator[Sessions]:
    with postgresql.queue() as sessions:
        yield sessions


@pytest.fixture
def living(sessions: Sessions) -> Iterator[tuple[Locks, Future[None]]]:
    """A process that lives, and its thread that keeps it so."""
    locks, stop = Locks(sessions, NAME), threading.Event()
    begin_to_live(locks)
    with ThreadPoolExecutor() as pool:
        try:
            yield locks, pool.submit(stay_alive, locks, stop)
        finally:
            stop.set()
    locks.close()


@contextmanager
def connection_not_noticed_as_closed(sessions: Sessions) -> Iterator[None]:
    """The server believes that the process's earlier connection is open, and holds its lock."""
    lose_locks(sessions)
    earlier = Locks(sessions)
    eventually("its lock is held by an earlier connection", lambda: earlier.take(life_of(NAME)), every_s=0)
    yield
    earlier.close()


@contextmanager
def locks_lost_once(sessions: Sessions) -> Iterator[None]:
    lose_locks(sessions)
    yield


FAULTS: dict[str, Callable[[PostgreSQL, Sessions], AbstractContextManager[None]]] = {
    "it is away": lambda server, _: server.away(),
    "it hangs": lambda server, _: server.hanging(),
    "it only reads": lambda server, _: server.only_reading(),
    "it has closed the connection": lambda _, sessions: locks_lost_once(sessions),
    "it has not noticed that the connection is closed": lambda _, sessions: connection_not_noticed_as_closed(sessions),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_process_lives_on_whatever_the_database_does_meanwhile(
    postgresql: PostgreSQL, sessions: Sessions, living: tuple[Locks, Future[None]], fault: str
) -> None:
    locks, keeps = living
    for _ in range(3):
        with FAULTS[fault](postgresql, sessions), pytest.raises(TimeoutError):
            keeps.result(timeout=2.5)  # two looks
        other = Locks(sessions)
        eventually("nobody else can take its lock", lambda: locks.never_lost(life_of(NAME)), 60)
        assert not other.take(life_of(NAME))
        other.close()


def test_a_process_ends_when_the_schema_is_brought_up_to_date_by_another(
    sessions: Sessions, living: tuple[Locks, Future[None]]
) -> None:
    _, keeps = living
    ended = False
    while not ended:
        lose_locks(sessions)
        with sessions.begin() as session:
            if processes_at_work(session.connection()) is None:  # before the process has its locks again
                with pytest.raises(QueueUnusable, match="brought up to date by another"):
                    keeps.result(timeout=60)
                ended = True
