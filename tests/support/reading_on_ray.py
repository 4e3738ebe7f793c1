"""A real node that reads on a Ray cluster of tests, with models that take a known time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
from cluster_models import bundle_of
from ray_cluster import RayCluster
from road import changed
from running import RunningNode
from sqlalchemy import select

from dicom_io.uids import derive_uid
from node.demo.studies import DemoStudy
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import ActorPoolState, Job, Study

SUPPORT = Path(__file__).parent
"""Where the models are that actors load."""
SETTINGS = """
[[senders]]
ae_title = "PACS"
host = "127.0.0.1"
[closing]
four_views_quiet_s = 1
quiet_s = 60
[reader]
executor = "ray"
bundle = "{bundle}"
{reader}
{ray}
min_actors = {actors}
{limit}
[[destinations]]
name = "nowhere"
ae_title = "NOWHERE"
host = "127.0.0.1"
port = 1
"""


class Reading:
    """A node that reads on a cluster, with models that take `seconds` for each image."""

    def __init__(
        self,
        folder: Path,
        cluster: RayCluster,
        *,
        seconds: float,
        actors: int,
        most: int | None = None,
        reader: str = "",
        kills: str = "actor",
        database_url: str | None = None,
    ) -> None:
        """`actors`, `most`: of actors; `reader`: further settings of [reader]; `kills`: what an image that is wider
        than high ends, the "actor" or its "machine"."""
        self.folder, self.marks = folder, folder / "marks"
        bundle = bundle_of(folder / "bundle", seconds, self.marks, kills)
        limit = "" if most is None else f"max_actors = {most}"
        self.settings = SETTINGS.format(bundle=bundle, ray=cluster.settings, actors=actors, limit=limit, reader=reader)
        self.node = RunningNode(folder / "node", self.settings, database_url=database_url)

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

    def receive_one_wide(self, study: DemoStudy) -> None:
        """Sends a study, of which one image ends what reads it."""
        folder = self.folder / "sent"
        folder.mkdir()
        first, second, *others = study.files
        wide = changed(second)
        wide.PixelData = wide.pixel_array.T.tobytes()
        wide.Rows, wide.Columns = wide.Columns, wide.Rows
        wide.save_as(folder / "wide.dcm", enforce_file_format=True)
        for file in (first, *others):
            (folder / file.name).write_bytes(file.read_bytes())
        self.send(folder)

    def send(self, folder: Path) -> None:
        to = f"MAMMO_NODE@127.0.0.1:{self.node.port}"
        command = [sys.executable, "-m", "node", "send", str(folder), to, "--calling", "PACS"]
        sent = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert sent.returncode == 0, sent.stderr

    def reads_now(self) -> list[int]:
        """The processes that read at this moment."""
        marks = [int(mark.name) for mark in self.marks.iterdir() if mark.name.isdecimal()]
        return [process for process in marks if psutil.pid_exists(process)]

    def loaded(self) -> list[int]:
        """The processes that have loaded the bundle, one entry for each time."""
        return [int(line) for line in (self.marks / "loaded").read_text().split()]

    def actors(self) -> int:
        with self.node.database() as session:
            return sum(session.scalars(select(ActorPoolState.actors)))

    def studies(self) -> Counter[StudyState]:
        with self.node.database() as session:
            return Counter(session.scalars(select(Study.state)))

    def read_jobs(self) -> Counter[tuple[JobState, int]]:
        """The images' jobs, by state and counted attempts."""
        with self.node.database() as session:
            jobs = session.scalars(select(Job).where(Job.kind == JobKind.READ_IMAGE)).all()
            return Counter((job.state, job.attempts) for job in jobs)
