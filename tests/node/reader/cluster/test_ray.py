"""A real Ray cluster on this machine: three machines of one CPU each, whose actors read for a real node."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cluster_models import install
from postgresql import PostgreSQL
from ray_cluster import RayCluster, ray_cluster
from reading_on_ray import SUPPORT, Reading
from running import RunningNode, eventually
from sqlalchemy import func, select

from dicom_io.results.profiles import ResultKind
from node.demo.studies import DemoStudy
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import Instance, Job, Result, Study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    installed = install(tmp_path_factory.mktemp("installed"))
    with ray_cluster(3, paths=(installed, SUPPORT)) as started:
        yield started


@pytest.fixture
def reading(tmp_path: Path, cluster: RayCluster, request: pytest.FixtureRequest) -> Iterator[Reading]:
    made = Reading(tmp_path, cluster, **request.param)
    try:
        yield made
    finally:
        made.node.end()


@pytest.mark.parametrize("reading", [{"seconds": 2.0, "actors": 3}], indirect=True)
def test_an_actor_that_is_killed_while_it_reads_is_replaced_and_every_study_is_reported_once(
    reading: Reading, mammogram_study: DemoStudy
) -> None:
    reading.node.start()
    eventually("three actors have loaded the bundle", lambda: reading.actors() == 3)
    reading.receive(mammogram_study, copies=6)
    os.kill(eventually("one reads", reading.reads_now)[0], signal.SIGKILL)
    eventually("all studies are reported", lambda: reading.studies() == {StudyState.REPORTED: 6})
    with reading.node.database() as session:
        assert session.scalar(select(func.count()).where(Instance.reading.is_not(None))) == 24
        reports = session.scalars(select(Result.study_id).where(Result.kind == ResultKind.SR)).all()
        assert sorted(reports) == sorted(session.scalars(select(Study.id)))
        assert set(session.scalars(select(Study.revision))) == {1}
        jobs = session.scalars(select(Job).where(Job.kind == JobKind.READ_IMAGE)).all()
    assert Counter(job.state for job in jobs) == {JobState.DONE: 24}
    assert Counter(job.attempts for job in jobs) == {1: 23, 2: 1}, "one image was read by the killed actor"
    eventually("a fourth has taken its place", lambda: reading.actors() == 3)
    assert len(reading.loaded()) == len(set(reading.loaded())) == 4, "each has loaded the bundle once"
    assert "3 of 3 actors" in reading.node.command("status").stdout
    reading.node.stop()
    eventually("its actors end with the node", lambda: not any(map(psutil.pid_exists, reading.loaded())))


@pytest.mark.parametrize("reading", [{"seconds": 0.05, "actors": 2}], indirect=True)
def test_an_image_that_kills_actors_is_unreadable_after_three_attempts_and_takes_no_other_with_it(
    reading: Reading, mammogram_study: DemoStudy
) -> None:
    reading.node.start()
    reading.receive_one_wide(mammogram_study)
    eventually("the study is reported", lambda: reading.studies() == {StudyState.REPORTED: 1})
    with reading.node.database() as session:
        instances = session.scalars(select(Instance)).all()
    unread = [instance.unread_reason for instance in instances if instance.reading is None]
    assert (len(instances), unread) == (4, ["unreadable: kills the reader (3 attempts)"])


def test_when_a_whole_node_is_killed_while_its_images_are_read_no_attempt_is_counted(
    queue_url: str, tmp_path: Path, cluster: RayCluster, mammogram_study: DemoStudy
) -> None:
    reading = Reading(tmp_path, cluster, seconds=2.0, actors=2, most=2, database_url=queue_url)
    try:
        reading.node.start()
        reading.receive(mammogram_study, copies=2)
        eventually("two actors read", lambda: len(reading.reads_now()) == 2)
        reading.node.kill()
        eventually("its actors have ended", lambda: not any(map(psutil.pid_exists, reading.loaded())))
        assert reading.read_jobs()[JobState.RUNNING, 1] == 2, "two were being read"
        reading.node.start()
        eventually("all studies are reported", lambda: reading.studies() == {StudyState.REPORTED: 2})
        assert reading.read_jobs() == {(JobState.DONE, 1): 8}
    finally:
        reading.node.end()


def test_two_processes_that_read_share_a_cluster_and_one_goes_on_when_the_other_is_killed(
    postgresql: PostgreSQL, tmp_path: Path, cluster: RayCluster, mammogram_study: DemoStudy
) -> None:
    url = postgresql.fresh()
    reading = Reading(tmp_path, cluster, seconds=1.0, actors=2, database_url=url)
    folder = tmp_path / "second"
    second = RunningNode(folder, reading.settings, database_url=url, data_dir=reading.node.data_dir, only="read")
    try:
        reading.node.start()
        eventually("it has its actors", lambda: reading.actors() == 2)
        second.start()
        eventually("the second has the place that is left", lambda: reading.actors() == 3)
        reading.receive(mammogram_study, copies=6)
        eventually("three actors read", lambda: len(reading.reads_now()) == 3)
        assert "FAULT" not in reading.node.command("status").stdout, "its other actor waits for a place, and may"
        second.kill()
        eventually("all studies are reported", lambda: reading.studies() == {StudyState.REPORTED: 6})
        assert reading.read_jobs() == {(JobState.DONE, 1): 24}
        eventually("the place is taken by the first", lambda: reading.actors() == 3)
    finally:
        second.end()
        reading.node.end()


@pytest.mark.parametrize("reading", [{"seconds": 0.3, "actors": 2, "reader": "batch = 2"}], indirect=True)
def test_no_more_images_are_claimed_than_the_actors_take(reading: Reading, mammogram_study: DemoStudy) -> None:
    reading.node.start()
    eventually("two actors have loaded the bundle", lambda: reading.actors() == 2)
    reading.receive(mammogram_study, copies=4)
    most = 0

    def looked() -> bool:
        nonlocal most
        with reading.node.database() as session:
            running = select(func.count()).where(Job.kind == JobKind.READ_IMAGE, Job.state == JobState.RUNNING)
            most = max(most, session.scalar(running) or 0)
        return reading.studies() == {StudyState.REPORTED: 4}

    eventually("all studies are reported", looked)
    # At most three actors of one CPU each, with a batch of two; on a CPU none is decoded beside.
    assert 2 <= most <= 6


@pytest.mark.parametrize("reading", [{"seconds": 2.0, "actors": 3}], indirect=True)
def test_a_machine_that_is_drained_finishes_its_batch_and_gets_no_more(
    reading: Reading, cluster: RayCluster, mammogram_study: DemoStudy
) -> None:
    """The last test here: the cluster has a machine less after it."""
    reading.node.start()
    eventually("three actors are there", lambda: reading.actors() == 3)
    reading.receive(mammogram_study, copies=4)
    eventually("they read", reading.reads_now)
    cluster.drain(cluster.machines[0])
    eventually("one has ended", lambda: reading.actors() == 2 and "is drained" in reading.node.log.read_text())
    eventually("all studies are reported", lambda: reading.studies() == {StudyState.REPORTED: 4})
    with reading.node.database() as session:
        assert set(session.scalars(select(Job.attempts))) == {1}, "nothing was read twice"
    assert "is lost" not in reading.node.log.read_text()
