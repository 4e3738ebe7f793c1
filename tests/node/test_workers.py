"""What a restart of PostgreSQL does to processes of a node that live."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clock import Clock
from postgresql import PostgreSQL, lose_locks
from road import Road
from running import eventually
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from dicom_io.network.incoming import IncomingFile
from node.archive.layout import READINGS
from node.archive.leftovers import remove_leftovers, remove_leftovers_of_processes
from node.demo.studies import DemoStudy
from node.parts import life_of
from node.store.database import Sessions, engine_for
from node.store.locks import Locks
from node.store.queue import claim
from node.store.states import JobKind, JobState
from node.store.tables import ActorPoolState
from node.workers import Ended, give_back_of_one, give_back_of_the_ended

pytestmark = pytest.mark.slow

NOW = 4e9
"""Long after each file of this test was written."""


@pytest.fixture
def sessions(postgresql: PostgreSQL) -> Iterator[Sessions]:
    with postgresql.queue() as sessions:
        yield sessions


@pytest.fixture
def two(sessions: Sessions) -> Iterator[tuple[Locks, Locks]]:
    """Those of the processes a-1 and b-1."""
    locks = Locks(sessions), Locks(sessions)
    for each, name in zip(locks, ("a-1", "b-1"), strict=True):
        each.take(life_of(name))
    yield locks
    for each in locks:
        each.close()


def test_a_process_has_ended_when_its_lock_is_free_for_ten_seconds_and_not_when_it_lost_it_for_a_moment(sessions, two):
    leader, other = two
    clock = Clock()
    ended = Ended(leader, "a-1", clock)
    started = clock.seconds
    lose_locks(sessions)
    leader.still_held(life_of("a-1"))
    assert not ended.has("NODE/reader@b-1")
    assert not ended.has("NODE/reader@a-1"), "itself, which does not have its lock at this moment either"
    clock.seconds = started + 5
    other.still_held(life_of("b-1"))
    assert other.still_held(life_of("b-1"))
    assert not ended.has("NODE/reader@b-1")
    clock.seconds = started + 60
    other.close()
    eventually("the server has closed the connection", lambda: leader.is_free(life_of("b-1")), 60)
    assert not ended.has("NODE/reader@b-1"), "free for the first time since"
    clock.seconds += 9
    assert not ended.has("NODE/reader@b-1")
    clock.seconds += 1
    assert ended.has("NODE/reader@b-1")
    assert not ended.has("NODE/reader@a-1")
    assert ended.has("NODE/reader"), "of a version without processes"


@pytest.mark.parametrize(("on_a_cluster", "attempts"), [(True, 0), (False, 1)])
def test_images_of_a_process_that_ended_are_given_back_and_a_cluster_s_are_not_blamed_for_it(
    queue_url: str, tmp_path: Path, mammogram_study: DemoStudy, on_a_cluster: bool, attempts: int
):
    road = Road(tmp_path / "data", database_url=queue_url)
    road.receive(mammogram_study.files[0])
    locks = Locks(road.sessions)
    worker = "NODE/reader@b-1" if locks.are_shared else "NODE/reader"
    with road.sessions.begin() as session:
        [_] = claim(session, JobKind.READ_IMAGE, worker, road.clock(), 600)
        if on_a_cluster:
            session.add(ActorPoolState(worker=worker, actors=1, wanted=1, fault="", changed_at=road.clock()))
    steady = Clock()
    ended = Ended(locks, "a-1", steady)
    for _ in range(2):  # found free, and again after a while
        with road.sessions.begin() as session:
            if locks.are_shared:
                give_back_of_the_ended(session, ended, road.clock())
            else:
                give_back_of_one(session, worker, road.clock())
        steady.seconds += 60
    locks.close()
    assert [(job.state, job.attempts) for job in road.jobs()] == [(JobState.WAITING, attempts)]
    with road.sessions() as session:
        assert not session.scalars(select(ActorPoolState)).all()


def test_a_listener_whose_incoming_folder_was_deleted_goes_on_receiving(sessions, two, tmp_path: Path):
    lose_locks(sessions)
    starting = Locks(sessions)
    (tmp_path / "b-1").mkdir()
    remove_leftovers_of_processes(tmp_path, starting, (tmp_path / "b-1").stat().st_mtime + 60)
    assert (tmp_path / "b-1").exists(), "a file came a minute ago"
    remove_leftovers_of_processes(tmp_path, starting, NOW)
    starting.close()
    assert not (tmp_path / "b-1").exists()
    file = IncomingFile(tmp_path / "b-1", b"x", 1 << 20)
    file.finish()
    assert file.fault is None
    assert file.path.read_bytes() == b"x"
    file.discard()


def test_a_connection_is_given_up_when_the_database_host_is_silent_for_20_seconds(postgresql: PostgreSQL):
    engine = engine_for(postgresql.fresh())
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM) as wire:
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
            assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
    engine.dispose()


def test_a_server_that_only_reads_is_not_taken(postgresql: PostgreSQL):
    url = postgresql.fresh()
    name = url.rpartition("/")[2]
    postgresql.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(OperationalError, match="read-only"):
        engine_for(url).connect()


def test_processes_that_start_at_the_same_time_delete_the_same_leftovers(sessions, tmp_path: Path):
    (tmp_path / READINGS).mkdir()
    for number in range(3000):
        (tmp_path / READINGS / str(number)).touch()

    def start() -> int:
        with sessions.begin() as session:
            return remove_leftovers(session, tmp_path, NOW)

    with ThreadPoolExecutor(4) as pool:
        deleted = [starting.result() for starting in [pool.submit(start) for _ in range(4)]]
    assert sum(deleted) == 3000
    assert not any((tmp_path / READINGS).iterdir())
