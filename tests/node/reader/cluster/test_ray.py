"""A real Ray cluster on this machine: three machines of one CPU each, whose actors read for a real node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cluster_models import bundle_of, install
from ray_cluster import RayCluster, ray_cluster
from road import changed
from running import RunningNode, eventually
from sqlalchemy import func, select

from dicom_io.results.profiles import ResultKind
from dicom_io.uids import derive_uid
from node.demo.studies import DemoStudy
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import ActorPoolState, Instance, Job, Result, Study

pytestmark = pytest.mark.slow

SUPPORT = Path(__file__).parents[3] / "support"
SETTINGS = """
[[senders]]
ae_title = "PACS"
host = "127.0.0.1"
[closing]
four_views_quiet_s = 1
quiet_s = 2
[reader]
executor = "ray"
bundle = "{bundle}"
{reader}
{ray}
min_actors = {actors}
[[destinations]]
name = "nowhere"
ae_title = "NOWHERE"
host = "127.0.0.1"
port = 1
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    installed = install(tmp_path_factory.mktemp("installed"))
    with ray_cluster(3, paths=(installed, SUPPORT)) as started:
        yield started


class Reading:
    """A node that reads on a cluster, with models that take `seconds` for each image."""

    def __init__(self, folder: Path, cluster: RayCluster, seconds: float, actors: int, reader: str = "") -> None:
        self.folder, self.marks = folder, folder / "marks"
        bundle = bundle_of(folder / "bundle", seconds, self.marks)
        self.node = RunningNode(
            folder / "node", SETTINGS.format(bundle=bundle, ray=cluster.settings, actors=actors, reader=reader)
        )

    def receive(self, study: DemoStudy, copies: int = 1, files: int = 4) -> None:
        """Sends copies of a study, each with UIDs of its own."""
        folder = self.folder / "sent"
        folder.mkdir()
        for copy in range(copies):
            for number, file in enumerate(study.files[:files]):
                image = changed(file)
                for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                    setattr(image, keyword, derive_uid(f"{keyword} {getattr(image, keyword)} {copy}"))
                image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
                image.save_as(folder / f"{copy}-{number}.dcm", enforce_file_format=True)
        self.send(folder)

    def send(self, folder: Path) -> None:
        to = f"MAMMO_NODE@127.0.0.1:{self.node.port}"
        command = [sys.executable, "-m", "node", "send", folder, to, "--calling", "PACS"]
        sent = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert sent.returncode == 0, sent.stderr

    def reads_now(self) -> list[int]:
        """The processes that read at this moment."""
        return [int(mark.name) for mark in self.marks.iterdir() if mark.name.isdecimal()]

    def loaded(self) -> list[int]:
        """The processes that have loaded the bundle, one entry for each time."""
        return [int(line) for line in (self.marks / "loaded").read_text().split()]

    def actors(self) -> int:
        with self.node.database() as session:
            state = session.scalars(select(ActorPoolState)).one_or_none()
            return 0 if state is None else state.actors

    def studies(self) -> Counter[StudyState]:
        with self.node.database() as session:
            return Counter(session.scalars(select(Study.state)))


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
    folder = reading.folder / "sent"
    folder.mkdir()
    first, second, *others = mammogram_study.files
    wide = changed(second)
    wide.PixelData = wide.pixel_array.T.tobytes()
    wide.Rows, wide.Columns = wide.Columns, wide.Rows
    wide.save_as(folder / "wide.dcm", enforce_file_format=True)
    for file in (first, *others):
        (folder / file.name).write_bytes(file.read_bytes())
    reading.send(folder)
    eventually("the study is reported", lambda: reading.studies() == {StudyState.REPORTED: 1})
    with reading.node.database() as session:
        instances = session.scalars(select(Instance)).all()
    unread = [instance.unread_reason for instance in instances if instance.reading is None]
    assert (len(instances), unread) == (4, ["unreadable: kills the reader (3 attempts)"])


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


@pytest.mark.parametrize("reading", [{"seconds": 2.0, "actors": 2}], indirect=True)
def test_a_machine_that_is_drained_finishes_its_batch_and_gets_no_more(
    reading: Reading, cluster: RayCluster, mammogram_study: DemoStudy
) -> None:
    """The last test here: the cluster has a machine less after it."""
    reading.node.start()
    reading.receive(mammogram_study, copies=6)
    eventually("three actors are there, and read", lambda: reading.actors() == 3 and reading.reads_now())
    cluster.drain(cluster.machines[0])
    eventually("one has ended", lambda: reading.actors() == 2 and "is drained" in reading.node.log.read_text())
    eventually("all studies are reported", lambda: reading.studies() == {StudyState.REPORTED: 6})
    with reading.node.database() as session:
        assert set(session.scalars(select(Job.attempts))) == {1}, "nothing was read twice"
    assert "is lost" not in reading.node.log.read_text()
