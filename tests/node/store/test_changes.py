"""Whoever waits for work notices it when it is committed or due, and not at the next slow look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from finished_studies import fill
from sqlalchemy import select, text, update

from node.store import changes
from node.store.changes import ChangeWatch
from node.store.database import Sessions, open_database, reading_connection, sessions_of
from node.store.queue import claim, next_due
from node.store.states import JobKind, JobState
from node.store.tables import Job

NOW = 1000.0


@pytest.fixture(autouse=True)
def never_looks_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SLOWLY_S", 1e6)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'queue.sqlite'}"


@pytest.fixture
def sessions(url: str) -> Sessions:
    engine = open_database(url)
    fill(engine, 2)
    return sessions_of(engine)


def queue_a_reading(sessions: Sessions, next_at: float = 0.0) -> None:
    with sessions.begin() as session:
        first = select(Job.id).where(Job.kind == JobKind.READ_IMAGE).limit(1).scalar_subquery()
        session.execute(update(Job).where(Job.id == first).values(state=JobState.WAITING, attempts=0, next_at=next_at))


@contextmanager
def assert_wait_ends(watch: ChangeWatch, due: float | None = None) -> Iterator[threading.Thread]:
    """A thread that waits; it must end by itself, and is stopped only after a failure."""
    stop = threading.Event()
    thread = threading.Thread(target=watch.wait, args=(stop, due))
    thread.start()
    try:
        yield thread
        thread.join(timeout=60)
        assert not thread.is_alive(), "it was not noticed"
    finally:
        stop.set()
        thread.join()


def of_this_process(url: str, sessions: Sessions) -> Sessions:
    return sessions


def of_another_program(url: str, sessions: Sessions) -> Sessions:
    return sessions_of(open_database(url))


@pytest.mark.parametrize("writer", [of_this_process, of_another_program])
def test_a_commit_ends_the_wait(url: str, sessions: Sessions, writer: Callable[[str, Sessions], Sessions]) -> None:
    with ChangeWatch(sessions, lambda: NOW) as watch, assert_wait_ends(watch):
        queue_a_reading(writer(url, sessions))


def test_a_commit_between_the_look_for_work_and_the_wait_ends_the_wait(sessions: Sessions) -> None:
    with ChangeWatch(sessions, lambda: NOW) as watch:
        with sessions.begin() as session:
            assert claim(session, JobKind.READ_IMAGE, "reader", NOW, 600) == []
        queue_a_reading(sessions)
        with assert_wait_ends(watch):
            pass


def test_a_wait_ends_when_something_is_due(sessions: Sessions) -> None:
    clock = [NOW]
    with ChangeWatch(sessions, lambda: clock[0]) as watch, assert_wait_ends(watch, due=NOW + 5):
        clock[0] = NOW + 5


def test_who_finds_nothing_wakes_nobody(sessions: Sessions) -> None:
    other = reading_connection(sessions)
    before = other.execute(text("PRAGMA data_version")).scalar_one()
    other.rollback()
    for kind in JobKind:
        with sessions.begin() as session:
            assert claim(session, kind, "reader", NOW, 600) == []
    assert other.execute(text("PRAGMA data_version")).scalar_one() == before
    other.close()


def test_the_next_due_job_is_the_first_whose_wait_or_lease_ends(sessions: Sessions) -> None:
    def due(after: float) -> float | None:
        with sessions.begin() as session:
            return next_due(session, JobKind.READ_IMAGE, after)

    assert due(NOW) is None
    queue_a_reading(sessions, next_at=NOW + 30)
    assert due(NOW) == NOW + 30
    with sessions.begin() as session:
        assert len(claim(session, JobKind.READ_IMAGE, "reader", NOW + 30, 600)) == 1
    assert due(NOW + 30) == NOW + 630
    assert due(NOW + 630) is None
