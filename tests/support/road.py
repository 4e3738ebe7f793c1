"""The whole node in one process, with three simple models: for tests of the node, not of the models."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clock import Clock
from pydicom import Dataset, dcmread
from readings import DEVICE
from simple_models import BUNDLE, OneMass, pipeline_of
from sqlalchemy import select

from dicom_io.network.answers import Answer
from dicom_io.network.priority import MEDIUM
from dicom_io.network.scp import ReceivedFile
from dicom_io.results.profiles import MESSAGE_PROFILES, PROFILES
from models.birads.calibration import Calibration, Level
from node.archive.digests import digest_of
from node.delivery.outbox import ResultDestination
from node.intake.receiving import Receiving, ReceivingLimits
from node.reader.decoding import DecoderHere
from node.reader.images import ImageReader, ReadingLimits
from node.reader.local import LocalExecutor
from node.reporting.reporter import Reporter
from node.routing import Router, everything
from node.store.database import Sessions, open_database, sessions_of
from node.store.tables import Delivery, Instance, Job, Result, Study
from node.studies.closing import close_complete
from node.studies.completeness import Ladder

_PROFILES = {**PROFILES, **{profile.name: profile for profile in MESSAGE_PROFILES.values()}}
LADDER = Ladder(four_views_quiet_s=5, quiet_s=60, deadline_s=1800)


@dataclass
class Road:
    """A node, step by step; its clock changes only when a test sets it."""

    data_dir: Path
    models: OneMass = field(default_factory=OneMass)
    destinations: Sequence[str] = ("pacs",)
    profile: str = "ohif"
    router: Router = everything
    secondary_capture_from: frozenset[str] = frozenset()
    clock: Clock = field(default_factory=Clock)
    calibration: Mapping[Level, Calibration] = field(default_factory=dict)
    database_url: str | None = None

    def __post_init__(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        url = self.database_url or f"sqlite:///{self.data_dir / 'queue.sqlite'}"
        self.sessions: Sessions = sessions_of(open_database(url))
        self.receiving = Receiving(
            self.sessions, self.data_dir, ReceivingLimits(), self.secondary_capture_from, self.clock, self.router
        )
        self.reader = ImageReader(
            self.sessions,
            self.data_dir,
            LocalExecutor(pipeline_of(self.models, self.calibration), DecoderHere(100_000_000)),
            "node/reader",
            ReadingLimits(batch=4, attempts=3, lease_s=600),
            self.clock,
        )
        self.reporter = Reporter(
            self.sessions,
            self.data_dir,
            [ResultDestination(name, _PROFILES[self.profile]) for name in self.destinations],
            self.router,
            BUNDLE,
            DEVICE,
            "node/reporter",
            600,
            self.clock,
        )

    def receive(self, *images: Dataset | Path, sender: str = "PACS", priority: int = MEDIUM) -> list[Answer]:
        """What the listener does after an image was received."""
        files = (image if isinstance(image, Path) else self._saved(image) for image in images)
        return [self._receive(file, sender, priority) for file in files]

    def read(self) -> None:
        while self.reader.read_some():
            pass

    def close(self, after_s: float = 61) -> None:
        """Advances the clock by `after_s` seconds without images and closes the complete studies."""
        self.clock.seconds += after_s
        close_complete(self.sessions, LADDER, self.clock())

    def report(self) -> None:
        while self.reporter.report_one():
            pass

    def all_of_it(self, *images: Dataset | Path, sender: str = "PACS") -> None:
        self.receive(*images, sender=sender)
        self.read()
        self.close()
        self.read()
        self.report()

    def study(self) -> Study:
        with self.sessions.begin() as session:
            return session.scalars(select(Study)).one()

    def instances(self) -> list[Instance]:
        with self.sessions.begin() as session:
            return list(session.scalars(select(Instance).order_by(Instance.id)))

    def jobs(self) -> list[Job]:
        with self.sessions.begin() as session:
            return list(session.scalars(select(Job).order_by(Job.id)))

    def deliveries(self) -> list[Delivery]:
        with self.sessions.begin() as session:
            return list(session.scalars(select(Delivery).order_by(Delivery.id)))

    def results(self, kind: str | None = None, revision: int | None = None) -> list[Dataset]:
        """The written results on disk; of a revision, all its parts, including those written by earlier ones."""
        with self.sessions.begin() as session:
            rows = session.scalars(select(Result).order_by(Result.id)).all()
        return [
            dcmread(self.data_dir / row.path)
            for row in rows
            if kind in (None, row.kind) and (revision is None or row.revision <= revision <= row.last_revision)
        ]

    def _saved(self, image: Dataset) -> Path:
        path = self.data_dir / "to-send.dcm"
        image.save_as(path, enforce_file_format=True)
        return path

    def _receive(self, file: Path, sender: str, priority: int) -> Answer:
        incoming = self.receiving.incoming / "one.dcm"
        shutil.copy(file, incoming)
        header = dcmread(file, stop_before_pixels=True)
        return self.receiving.accept(
            ReceivedFile(
                incoming,
                sender,
                "127.0.0.1",
                header.SOPClassUID,
                header.SOPInstanceUID,
                header.file_meta.TransferSyntaxUID,
                priority,
                digest_of(file),
            )
        )


def changed(file: Path, **changes: object) -> Dataset:
    """A file's data set with some attributes changed; a new SOP Instance UID goes into the file's head too."""
    dataset = dcmread(file)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


def texts(report: Dataset) -> str:
    """All texts of a report."""
    return "\n".join(_texts(report))


def _texts(item: Dataset) -> list[str]:
    own = [str(item.TextValue)] if "TextValue" in item else []
    return own + [text for child in item.get("ContentSequence", []) for text in _texts(child)]
