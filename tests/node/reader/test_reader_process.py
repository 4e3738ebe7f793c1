"""The reader is supervised: an image that kills it is identified, and a hanging reader is ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from failing_readers import WORKER, DiesOfWide, HangsOnWide, OnFullDisk, read
from road import Road, changed
from running import eventually
from simple_models import OneMass

from node.demo.studies import DemoStudy
from node.reader.process import ReaderSupervisor
from node.store.queue import claim
from node.store.states import JobKind, JobState
from node.store.tables import Job

pytestmark = pytest.mark.slow

KILLS = "3 attempts"


@contextmanager
def supervised(road: Road, models: OneMass, lease_s: float = 600, beside: bool = False) -> Iterator[None]:
    stop = threading.Event()
    supervisor = ReaderSupervisor(read, (road.data_dir, models, lease_s, beside), road.sessions, WORKER, time.time)
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def road(tmp_path: Path, mammogram_study: DemoStudy) -> Road:
    """Four images, the second of them lying on its side."""
    road = Road(tmp_path)
    wide = changed(mammogram_study.files[1])
    wide.PixelData = wide.pixel_array.T.tobytes()
    wide.Rows, wide.Columns = wide.Columns, wide.Rows
    road.receive(mammogram_study.files[0], wide, *mammogram_study.files[2:])
    return road


def settled(road: Road) -> bool:
    return all(job.state in (JobState.DONE, JobState.FAILED) for job in road.jobs())


@pytest.mark.parametrize(
    ("models", "lease_s", "beside"),
    [(DiesOfWide(), 600.0, False), (HangsOnWide(), 1.0, False), (DiesOfWide(), 600.0, True)],
)
def test_an_image_that_ends_the_reader_fails_after_three_attempts_and_the_others_are_read(
    road: Road, models: OneMass, lease_s: float, beside: bool
) -> None:
    with supervised(road, models, lease_s, beside):
        eventually("all images are read or given up", lambda: settled(road))
    first, wide, *others = road.instances()
    assert wide.unread_reason == f"unreadable: kills the reader ({KILLS})"
    assert all(instance.reading is not None for instance in (first, *others))
    road.close()
    road.report()
    assert len(road.results("SEG")) == 3


def put_off(job: Job) -> bool:
    """Whether a fault of the machine has postponed the job; looked at in a single query, since the reader goes on."""
    return job.state is JobState.WAITING and job.faults > 0 and job.attempts == 0


def test_a_full_disk_does_not_count_against_an_image(road: Road) -> None:
    room = road.data_dir / "room"
    with supervised(road, OnFullDisk(room=room)):
        eventually("every image was put off by the full disk", lambda: all(map(put_off, road.jobs())))
        room.touch()
        eventually("all images are read", lambda: settled(road))
    assert all(instance.reading is not None for instance in road.instances())


def test_a_stop_ends_the_reader_and_releases_its_leases_without_counting_an_attempt(road: Road) -> None:
    with supervised(road, HangsOnWide()):
        eventually("the reader hangs", lambda: any(job.state is JobState.RUNNING for job in road.jobs()))
    assert not any(job.state is JobState.RUNNING for job in road.jobs())
    assert all(job.attempts == (job.state is JobState.DONE) for job in road.jobs())


def test_leases_of_a_killed_node_are_released_at_the_next_start(road: Road) -> None:
    with road.sessions.begin() as session:
        assert len(claim(session, JobKind.READ_IMAGE, WORKER, time.time(), 10_000, limit=4)) == 4
    with supervised(road, OneMass()):
        eventually("all images are read", lambda: settled(road))
    assert all(instance.reading is not None for instance in road.instances())
