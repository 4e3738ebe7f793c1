"""The demo: a node reads two real exams, and its results are shown beside the exams' ground truth."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings, load
from dicom_io.errors import DestinationError
from dicom_io.network.peer import Peer
from dicom_io.network.scu import echo, send_files
from dicom_io.pixels.mammogram import read_mammogram
from models.errors import UserError
from models.readings.overlay import draw_overlay
from models.types.exam import ExamImage, ExamReading
from node.demo.pacs import FolderIntake, demo_pacs
from node.demo.studies import DemoStudy
from node.folder.overlays import write_overlays, write_summary
from node.operations.status import StudyView
from node.operations.studies import StudyFilter, find_studies
from node.reporting.exams import exam_of
from node.store.database import Sessions, open_database, read_only, sessions_of
from node.store.states import DeliveryState, ImageOutcome, JobState, StudyState
from node.store.tables import Study

AE_TITLE = "MAMMO_NODE"
SENDER = "DEMO_SENDER"

SETTINGS = """\
# Written by `mammo-node demo`.
data_dir = "data"

[receiver]
ae_title = "{ae_title}"
port = {port}

[[senders]]
ae_title = "{sender}"

[closing]
four_views_quiet_s = 1

[[destinations]]
name = "demo-pacs"
ae_title = "DEMO_PACS"
host = "127.0.0.1"
port = {pacs_port}
profile = "all"
retry_first_s = 2
dead_after_s = 60
"""
PAGE = """
[web]
port = {port}
"""


COMMAND = (sys.executable, "-P", "-m", "node")
"""`-P`: a folder called node, models or config where the demo is started is not this package."""


class DemoFailed(UserError):
    """The demo failed; the message names the log."""


@dataclass(frozen=True)
class Outcome:
    """A demo study with its results."""

    study: DemoStudy
    exam: ExamReading
    results: list[Path]
    overlays: list[Path]


@dataclass(frozen=True)
class DemoProgress:
    """The node's progress."""

    images: int
    read: int
    studies: tuple[StudyView, ...]

    @property
    def delivered(self) -> bool:
        return bool(self.studies) and all(
            study.state == StudyState.REPORTED
            and study.deliveries
            and all(delivery.state == DeliveryState.SENT for delivery in study.deliveries)
            for study in self.studies
        )

    @property
    def failed(self) -> str:
        """The permanent errors, in one sentence; "" where there are none."""
        return "; ".join(fault for study in self.studies for fault in _faults(study))


def _faults(study: StudyView) -> Iterator[str]:
    if study.state in (StudyState.QUARANTINED, StudyState.NOT_READ):
        yield f"study {study.id} is {study.state}: {study.why}"
    for job in study.jobs:
        if job.state == JobState.FAILED:
            yield f"study {study.id}: {job.error}"
    for delivery in study.deliveries:
        if delivery.state == DeliveryState.DEAD:
            yield f"study {study.id}: its {delivery.result} did not reach the PACS: {delivery.error}"


class Demo:
    """A node and a PACS of its own, in a scratch folder. Use as a context manager."""

    def __init__(self, folder: Path, *, shows_page: bool = False) -> None:
        self.folder = folder
        self._page = PAGE.format(port=_free_port()) if shows_page else ""
        self.pacs = FolderIntake(folder / "pacs")
        self.port = _free_port()
        self._listener = demo_pacs(self.pacs, AE_TITLE)
        self._node: subprocess.Popen[bytes] | None = None
        self._sessions: Sessions | None = None
        self.settings: Settings | None = None

    @property
    def log(self) -> Path:
        """The node's log."""
        return self.folder / "node.log"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Starts the PACS and the node, waits until the node answers, and ends both on leaving.

        Raises:
            DemoFailed: the node did not start.
        """
        self._listener.start()
        try:
            config = self.folder / "node.toml"
            config.write_text(
                SETTINGS.format(ae_title=AE_TITLE, port=self.port, sender=SENDER, pacs_port=self._listener.port)
                + self._page
            )
            self.settings = load(config)
            with self.log.open("wb") as log:
                node = subprocess.Popen([*COMMAND, "serve", "--config", config], stderr=log)
            self._node = node
            try:
                self._wait_until_it_answers()
                self._sessions = sessions_of(open_database(self.settings.database))
                yield
            finally:
                node.terminate()
                node.wait()
        finally:
            self._listener.stop(grace_s=1)

    def send(self, studies: list[DemoStudy], on_sent: Callable[[Path], None]) -> None:
        """Sends the studies to the node by C-STORE.

        Raises:
            DemoFailed: the node did not take an image, or did not answer.
        """
        files = [file for study in studies for file in study.files]
        answers = send_files(Peer(AE_TITLE, "127.0.0.1", self.port, 60, SENDER), files)
        try:
            for sent in answers:
                if sent.error is not None:
                    raise DemoFailed(f"{sent.path}: not taken by the node: {sent.error}. See {self.log}")
                on_sent(sent.path)
        except DestinationError as error:
            raise DemoFailed(f"The node did not take the images: {error}. See {self.log}") from error

    def progress(self) -> DemoProgress:
        """The node's progress.

        Raises:
            DemoFailed: the node ended, or met a permanent error.
        """
        self._check_node_runs()
        progress = self._progress()
        if progress.failed:
            raise DemoFailed(f"The node did not do its work: {progress.failed}. See {self.log}")
        return progress

    def _progress(self) -> DemoProgress:
        with read_only(self._queue()) as session:
            studies = find_studies(session, StudyFilter()).studies
        images = [image for study in studies for image in study.images]
        return DemoProgress(len(images), sum(image.outcome is not ImageOutcome.WAITING for image in images), studies)

    def outcome(self, study: DemoStudy) -> Outcome:
        """The results of a study that was delivered; draws its overlays."""
        settings = self.settings
        if settings is None:
            raise DemoFailed("The demo's node is not running.")
        with read_only(self._queue()) as session:
            row = session.query(Study).filter_by(study_instance_uid=study.study_instance_uid).one()
            exam = exam_of(session, row, settings.data_dir)
            files = {instance.sop_instance_uid: settings.data_dir / instance.path for instance in row.instances}

        def overlay_of(image: ExamImage) -> bytes:
            pixels = read_mammogram(files[image.sop_instance_uid], settings.receiver.max_image_pixels)
            return draw_overlay(pixels, image.reading)

        overlays = write_overlays(exam, overlay_of, self.folder / "overlays" / study.patient_id)
        results = self.pacs.study(study.study_instance_uid)
        return Outcome(study, exam, results, overlays + write_summary(results, overlays[0].parent))

    def _queue(self) -> Sessions:
        if self._sessions is None:
            raise DemoFailed("The demo's node is not running.")
        return self._sessions

    def _check_node_runs(self) -> None:
        if self._node is None or self._node.poll() is None:
            return
        raise DemoFailed(f"The node ended with status {self._node.returncode}. See {self.log}")

    def _wait_until_it_answers(self) -> None:
        answered, pause = False, threading.Event()
        while not answered:
            self._check_node_runs()
            try:
                echo(Peer(AE_TITLE, "127.0.0.1", self.port, 5, SENDER))
                answered = True
            except DestinationError:
                pause.wait(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
