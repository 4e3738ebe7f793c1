"""Reads the studies in a folder, without a network, with the code that `serve` runs for received studies.

The queue is in a scratch folder; its rows have the paths of the original files. Registering, closing, reading and
reporting are the same code as for a study that a PACS sends; docs/architecture.md lists the differences.
"""

from __future__ import annotations

import filecmp
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sqlalchemy import func, select

from dicom_io.device import Device
from dicom_io.durable import write_durably
from dicom_io.errors import NotReadable
from dicom_io.headers import describe
from dicom_io.pixels.intact import FileList, read_whole_file
from dicom_io.rejection_notes import is_rejection_note, read_rejection_note
from dicom_io.results.profiles import IN_PROFILES, PROFILES, Profile
from models.pipeline import Pipeline
from models.readings.overlay import draw_overlay
from models.reference.tenths import Reference
from models.types.exam import ExamReading
from models.types.mammogram import Mammogram
from models.types.reading import BundleId, ImageReading
from node.delivery.outbox import ResultDestination
from node.folder.exam_json import exam_to_json
from node.folder.overlays import SUMMARY, write_overlays, write_summary
from node.intake.register import register
from node.intake.rejected import enter_rejection
from node.reader.decoding import DecoderHere
from node.reader.images import ImageReader, ReadingLimits
from node.reader.local import LocalExecutor
from node.reporting.exams import exam_of
from node.reporting.reporter import Reporter
from node.routing import everything
from node.store.database import Sessions, open_database, read_only, sessions_of
from node.store.faults import FaultPolicy
from node.store.installation import IDENTITY
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import Instance, Job, Study
from node.studies.closing import close

READING = "reading.json"
WRITTEN = (*(f"[0-9][0-9]-{kind}.dcm" for kind in IN_PROFILES), "[0-9]-*.png", "[0-9][0-9]-*.png", SUMMARY, READING)
"""The files of a study's folder."""
_LEASE_S = 24 * 3600.0  # no other process uses this queue
_AT_ONCE = FaultPolicy(tries=1)  # a person waits: a fault of the machine is reported at once


def files_in(place: Path, out: Path) -> list[Path]:
    """A folder's files, with all below it; or the file itself. Without what an earlier run wrote into `out`, where that
    lies in the folder; where it is the folder itself, only without the identity of the installation."""
    if not place.is_dir():
        return [place]
    files = sorted(path for path in place.rglob("*") if path.is_file())
    own = out.resolve()
    written = own / IDENTITY if place.resolve().is_relative_to(own) else own
    return [path for path in files if not path.resolve().is_relative_to(written)]


@dataclass(frozen=True)
class FolderLimits:
    """See config.settings.Receiver and Reader."""

    max_image_bytes: int = 1_024_000_000
    max_image_pixels: int = 100_000_000
    batch: int = 1


@dataclass(frozen=True)
class SkippedFile:
    """A file that was not read or belongs to no study, and the reason.

    Attributes:
        on_purpose: it was left out on purpose: a second copy, a list of files, a result of a node.
    """

    path: Path
    reason: str
    on_purpose: bool = False


@dataclass(frozen=True)
class StudyOutcome:
    """The outcome of one study.

    Attributes:
        why: one sentence.
        exam: None if there are no results; see `why`.
        folder: of its results; None if there are none.
        unread: the files of the study that were not read, each with its reason.
        failed: there should have been results: it is in quarantine, or its report could not be written.
    """

    study_instance_uid: str
    why: str
    exam: ExamReading | None
    folder: Path | None
    unread: tuple[SkippedFile, ...]
    failed: bool


class FolderReading:
    """One reading of a folder. A study's results are written as soon as its last image is read.

    Args:
        bundle: the models that will read.
        scratch: an empty folder for the queue and temporary files.
        out: the output folder, with one subfolder per study, named by its Study Instance UID.
        now: UTC seconds since the epoch.
        device: the installation that is named in every object.
        reference: the reference set that ranks the exams' scores, if one is used.
    """

    def __init__(
        self,
        bundle: BundleId,
        device: Device,
        scratch: Path,
        out: Path,
        limits: FolderLimits,
        now: Callable[[], float],
        profile: Profile = PROFILES["all"],
        reference: Reference | None = None,
    ) -> None:
        self._sessions: Sessions = sessions_of(open_database(f"sqlite:///{scratch / 'queue.sqlite'}"))
        self._scratch = scratch
        self._out = out
        self._limits = limits
        self._now = now
        self._reference = reference
        self._written: dict[int, Path] = {}  # study's row → the folder of its results
        self._reporter = Reporter(
            sessions=self._sessions,
            data_dir=scratch,
            destinations=(ResultDestination("folder", profile),),
            router=everything,
            bundle=bundle,
            device=device,
            worker="reporter",
            lease_s=_LEASE_S,
            now=now,
            fault_policy=_AT_ONCE,
            reference=reference,
        )

    def take(self, paths: Iterable[Path], *, reads_secondary_capture: bool) -> list[SkippedFile]:
        """Registers the files and closes their studies; returns the files without a study, with the reason."""
        skipped = []
        for path in paths:
            reason, on_purpose = self._register(path.resolve(), reads_secondary_capture)
            if reason:
                skipped.append(SkippedFile(path, reason, on_purpose))
        with self._sessions.begin() as session:
            for study in session.scalars(select(Study).where(Study.state == StudyState.OPEN)):
                study.why = "all files of the folder are there"
                close(session, study, self._now())
        return skipped

    def to_read(self) -> int:
        """How many images wait to be read."""
        with read_only(self._sessions) as session:
            waiting = select(func.count()).where(Job.kind == JobKind.READ_IMAGE, Job.state == JobState.WAITING)
            return session.scalar(waiting) or 0

    def read(self, pipeline: Pipeline, on_read: Callable[[int], None]) -> None:
        """Reads all images; calls `on_read` with the number of each batch. Writes results as soon as a study is
        complete."""
        reader = ImageReader(
            sessions=self._sessions,
            data_dir=self._scratch,
            executor=LocalExecutor(pipeline, DecoderHere(self._limits.max_image_pixels), self._draw),
            worker="reader",
            limits=ReadingLimits(self._limits.batch, 1, _LEASE_S, _AT_ONCE),
            now=self._now,
        )
        while self.to_read():  # a report may ask for a raw image after all
            while count := reader.read_some():
                on_read(count)
                self._write_results()
            self._write_results()

    def report(self) -> list[StudyOutcome]:
        """Writes the results that are not written yet, and returns the outcome of every study, oldest first."""
        self._write_results()
        with read_only(self._sessions) as session:
            ids = session.scalars(select(Study.id).order_by(Study.id)).all()
        return [self._outcome(study_id) for study_id in ids]

    def _register(self, path: Path, reads_secondary_capture: bool) -> tuple[str, bool]:
        """Registers a file; returns the reason if it was not registered, and whether on purpose."""
        try:
            whole = read_whole_file(path, self._limits.max_image_bytes)
            header = describe(whole.dataset)
        except FileList as error:
            return str(error), True
        except NotReadable as error:
            return str(error), False
        except OSError as error:
            return f"it cannot be read: {error.strerror}", False
        if header.ours:
            return "a result of a mammo-node: never read", True
        try:
            note = read_rejection_note(path) if is_rejection_note(whole.dataset) else None
        except NotReadable as error:
            return str(error), False
        with self._sessions.begin() as session:
            known = session.scalar(select(Instance.path).where(Instance.sop_instance_uid == header.sop_instance_uid))
            if known is not None:
                if filecmp.cmp(path, known, shallow=False):
                    return f"a copy of {known}", True
                return f"another file than {known}, of the same SOP Instance UID", False
            instance = register(
                session,
                header,
                str(whole.transfer_syntax_uid),
                str(path),  # absolute: the original file is not moved
                source="",
                now=self._now(),
                reads_secondary_capture=reads_secondary_capture,
            )
            if note is not None:
                enter_rejection(session, instance, note, self._now())
        return "", False

    def _write_results(self) -> None:
        """Reports every study whose images are read, and writes the results."""
        while self._reporter.report_one():
            pass
        with read_only(self._sessions) as session:
            reported = session.scalars(select(Study.id).where(Study.state == StudyState.REPORTED)).all()
        for study_id in reported:
            if study_id not in self._written:
                self._written[study_id] = self._write(study_id)

    def _write(self, study_id: int) -> Path:
        """Writes a study's results, overlays and reading.json; returns the folder."""
        with read_only(self._sessions) as session:
            study = session.get_one(Study, study_id)
            exam = exam_of(session, study, self._scratch, reference=self._reference)
            results = [self._scratch / result.path for result in study.results]
            files = {instance.sop_instance_uid: Path(instance.path) for instance in study.instances}
            drawn = {instance.sop_instance_uid: self._drawn(Path(instance.path)) for instance in study.instances}
        folder = self._out / study.study_instance_uid
        self._clear(folder, set(files.values()))
        for result in results:
            write_durably(folder / result.name, result.read_bytes())
        write_overlays(exam, lambda image: drawn[image.sop_instance_uid].read_bytes(), folder)
        for overlay in drawn.values():
            overlay.unlink(missing_ok=True)
        write_summary(results, folder)
        document = json.dumps(exam_to_json(exam, study.study_instance_uid), indent=2)
        write_durably(folder / READING, document.encode())
        return folder

    def _draw(self, path: Path, image: Mammogram, reading: ImageReading) -> None:
        """Draws an image's overlay while its pixels are there, so that they are decoded once."""
        overlay = self._drawn(path)
        overlay.parent.mkdir(exist_ok=True)
        overlay.write_bytes(draw_overlay(image, reading))

    def _drawn(self, path: Path) -> Path:
        return self._scratch / "overlays" / f"{sha256(os.fsencode(path)).hexdigest()}.png"

    def _clear(self, folder: Path, inputs: set[Path]) -> None:
        """Deletes the results of an earlier run, so that they are not mistaken for results of this run."""
        if not (folder / READING).exists():
            return
        for pattern in WRITTEN:
            for earlier in folder.glob(pattern):
                if earlier.resolve() not in inputs:
                    earlier.unlink()

    def _outcome(self, study_id: int) -> StudyOutcome:
        with read_only(self._sessions) as session:
            study = session.get_one(Study, study_id)
            exam = exam_of(session, study, self._scratch, reference=self._reference)
            files = {instance.sop_instance_uid: Path(instance.path) for instance in study.instances}
        folder = self._written.get(study_id)
        quarantined = study.state is StudyState.QUARANTINED
        return StudyOutcome(
            study_instance_uid=study.study_instance_uid,
            why=f"in quarantine: {study.why}" if quarantined else study.why,
            exam=exam if folder else None,
            folder=folder,
            unread=tuple(
                SkippedFile(files[image.sop_instance_uid], image.reason, image.on_purpose) for image in exam.unread
            ),
            failed=folder is None and study.state is not StudyState.NOT_READ,
        )
