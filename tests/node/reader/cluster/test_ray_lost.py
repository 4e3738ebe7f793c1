"""Machines of a real Ray cluster that are lost or stopped while they read: no image is blamed for it at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cluster_models import install
from ray_cluster import RayCluster, ray_cluster
from reading_on_ray import SUPPORT, Reading
from running import eventually
from sqlalchemy import func, select

from node.demo.studies import DemoStudy
from node.store.states import JobState, StudyState
from node.store.tables import Instance, Job

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """Each test takes two of its machines away, and the last one needs another."""
    installed = install(tmp_path_factory.mktemp("installed"))
    with ray_cluster(5, paths=(installed, SUPPORT)) as started:
        yield started


@pytest.fixture
def reading(tmp_path: Path, cluster: RayCluster, request: pytest.FixtureRequest) -> Iterator[Reading]:
    made = Reading(tmp_path, cluster, **request.param)
    try:
        yield made
    finally:
        made.node.end()


def raylet_of(actor: int) -> psutil.Process:
    """Ray's own process of the machine that an actor is on."""
    raylet = psutil.Process(actor).parent()
    assert raylet is not None
    assert raylet.name() == "raylet"
    return raylet


@pytest.mark.parametrize("reading", [{"seconds": 2.0, "actors": 2, "most": 2}], indirect=True)
def test_images_of_a_machine_that_is_lost_or_stopped_are_read_elsewhere_and_no_attempt_is_counted(
    reading: Reading, mammogram_study: DemoStudy
) -> None:
    reading.node.start()
    reading.receive(mammogram_study, copies=4)
    eventually("two actors read", lambda: len(reading.reads_now()) == 2)
    lost, stopped = map(raylet_of, reading.reads_now())
    for process in [*lost.children(recursive=True), lost]:
        process.kill()  # as a loss of power does
    eventually("the cluster has noticed it", lambda: "its machine is lost" in reading.node.log.read_text())
    eventually("the other reads", lambda: any(raylet_of(actor) == stopped for actor in reading.reads_now()))
    stopped.terminate()  # as `ray stop` and a shutdown do
    eventually("that is known too", lambda: "was ended on purpose" in reading.node.log.read_text())
    eventually("all studies are reported", lambda: reading.studies() == {StudyState.REPORTED: 4})
    assert reading.read_jobs() == {(JobState.DONE, 1): 16}
    with reading.node.database() as session:
        again = session.scalar(select(func.count()).where(Job.instance_id.is_not(None), Job.token == 2))
    assert again == 2, "an image was read on each of the two"


@pytest.mark.parametrize(
    "reading", [{"seconds": 0.05, "actors": 1, "most": 1, "reader": "attempts = 1", "kills": "machine"}], indirect=True
)
def test_an_image_that_kills_machines_is_blamed_from_the_second_on(
    reading: Reading, mammogram_study: DemoStudy
) -> None:
    """The last test here: the cluster has one machine left after it."""
    reading.node.start()
    reading.receive_one_wide(mammogram_study)
    eventually("the study is reported", lambda: reading.studies() == {StudyState.REPORTED: 1})
    with reading.node.database() as session:
        instances = session.scalars(select(Instance)).all()
    unread = [instance.unread_reason for instance in instances if instance.reading is None]
    assert (len(instances), unread) == (4, ["unreadable: kills the reader (1 attempt)"])
    assert reading.node.log.read_text().count("its machine is lost") == 2
