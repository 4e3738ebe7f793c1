"""Reads the studies in a folder, without a network: the road of received studies, walked at once.

A queue of its own in a scratch folder points at the files where they lie; registering, closing, reading and reporting
are the node's own, so that a file means here what it means when a PACS sends it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from dicom_io.durable import write_durably
from dicom_io.errors import NotReadable
from dicom_io.headers import describe
from dicom_io.pixels.intact import read_whole_file
from models.pipeline import Pipeline
from models.types import BundleId, ExamReading
from node.arrivals import register
from node.database import Sessions, open_database, sessions_of
from node.exam_json import exam_to_json
from node.overlays import write_overlays
from node.reading import ImageReader, ReadingLimits
from node.reporting import Reporter, exam_of
from node.states import JobKind, JobState, StudyState
from node.studies import close
from node.tables import Instance, Job, Study

_LEASE_S = 24 * 3600.0  # nobody else works in this queue


@dataclass(frozen=True)
class FolderLimits:
    """See config.settings.Receiver and Reader."""

    max_image_bytes: int = 1_024_000_000
    max_image_pixels: int = 100_000_000
    batch: int = 1


@dataclass(frozen=True)
class SkippedFile:
    """A file that is no part of any study, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class StudyOutcome:
    """What became of one study.

    Attributes:
        exam: None where nothing was to be read; `why` tells.
        folder: where its results lie; None where there are none.
        unread: the files of the study that were not read, each with its reason.
    """

    study_instance_uid: str
    why: str
    exam: ExamReading | None
    folder: Path | None
    unread: tuple[SkippedFile, ...]


class FolderReading:
    """One reading of a folder.

    Args:
        bundle: the models that will read.
        scratch: an empty folder for the queue and what is put together in it.
        out: where a folder a study is written, named by its Study Instance UID.
        now: UTC seconds since the epoch.
    """

    def __init__(
        self, bundle: BundleId, scratch: Path, out: Path, limits: FolderLimits, now: Callable[[], float]
    ) -> None:
        self._sessions: Sessions = sessions_of(open_database(f"sqlite:///{scratch / 'queue.sqlite'}"))
        self._scratch = scratch
        self._out = out
        self._limits = limits
        self._now = now
        self._reporter = Reporter(
            sessions=self._sessions,
            data_dir=scratch,
            destinations=(),
            bundle=bundle,
            worker="reporter",
            lease_s=_LEASE_S,
            nominal_geometry=True,
            now=now,
        )

    def take(self, paths: Iterable[Path], *, reads_secondary_capture: bool) -> list[SkippedFile]:
        """Registers the files and closes their studies; files that belong to none come back with the reason."""
        skipped = []
        for path in paths:
            reason = self._register(path.resolve(), reads_secondary_capture)
            if reason:
                skipped.append(SkippedFile(path, reason))
        with self._sessions.begin() as session:
            for study in session.scalars(select(Study).where(Study.state == StudyState.OPEN)):
                study.why = "all files of the folder are there"
                close(session, study, self._now())
        return skipped

    def to_read(self) -> int:
        """How many images wait to be read."""
        with self._sessions.begin() as session:
            waiting = select(func.count()).where(Job.kind == JobKind.READ_IMAGE, Job.state == JobState.WAITING)
            return session.scalar(waiting) or 0

    def read(self, pipeline: Pipeline, on_read: Callable[[int], None]) -> None:
        """Reads all images; tells how many at a time."""
        reader = ImageReader(
            sessions=self._sessions,
            data_dir=self._scratch,
            pipeline=pipeline,
            worker="reader",
            limits=ReadingLimits(self._limits.batch, 1, _LEASE_S, self._limits.max_image_pixels),
            now=self._now,
        )
        while count := reader.read_some():
            on_read(count)

    def report(self) -> list[StudyOutcome]:
        """Writes each study's SEG, SR, overlays and reading.json.

        Raises:
            RuntimeError: a result could not be written.
        """
        while self._reporter.report_one():
            pass
        with self._sessions.begin() as session:
            ids = session.scalars(select(Study.id).order_by(Study.id)).all()
        return [self._outcome(study_id) for study_id in ids]

    def _register(self, path: Path, reads_secondary_capture: bool) -> str:
        """Why the file cannot be registered; empty where it was."""
        try:
            whole = read_whole_file(path, self._limits.max_image_bytes)
            header = describe(whole.dataset)
        except NotReadable as error:
            return str(error)
        if header.ours:
            return "a result of a mammo-node: never read"
        with self._sessions.begin() as session:
            known = session.scalar(select(Instance.path).where(Instance.sop_instance_uid == header.sop_instance_uid))
            if known is not None:
                return f"the same SOP Instance UID as {known}"
            register(
                session,
                header,
                str(whole.transfer_syntax_uid),
                str(path),  # absolute: the scratch folder's files stay where they are
                source="",
                now=self._now(),
                reads_secondary_capture=reads_secondary_capture,
            )
        return ""

    def _outcome(self, study_id: int) -> StudyOutcome:
        with self._sessions.begin() as session:
            study = session.get_one(Study, study_id)
            failed = session.scalar(
                select(Job.error).where(Job.study_id == study_id, Job.kind == JobKind.REPORT, Job.error != "")
            )
            if failed:
                raise RuntimeError(f"The report of study {study.study_instance_uid} could not be written: {failed}")
            unread = tuple(
                SkippedFile(Path(instance.path), instance.unread_reason)
                for instance in study.instances
                if instance.unread_reason is not None
            )
            if study.state is not StudyState.REPORTED:
                return StudyOutcome(study.study_instance_uid, study.why, None, None, unread)
            exam = exam_of(session, study, self._scratch)
            results = [self._scratch / result.path for result in study.results]
            files = {instance.sop_instance_uid: Path(instance.path) for instance in study.instances}
        folder = self._out / study.study_instance_uid
        folder.mkdir(parents=True, exist_ok=True)
        for result in results:
            shutil.copy(result, folder)
        write_overlays(exam, files, folder, self._limits.max_image_pixels)
        told = json.dumps(exam_to_json(exam, study.study_instance_uid), indent=2)
        write_durably(folder / "reading.json", told.encode())
        return StudyOutcome(study.study_instance_uid, study.why, exam, folder, unread)
