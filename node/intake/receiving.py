"""The node's Intake: stores received files, and decides the answers to their senders.

Order: bytes on disk, file name on disk, row committed, answer. All checks of a file's content come before it is renamed
into the archive. A crash after that leaves at most a file without a row, which the sender's next try replaces.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import exists, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoTurn
from sqlalchemy.orm import Session

from config.peers import Sender
from dicom_io.assessments import ReadReport, read_report
from dicom_io.audit.message import Action
from dicom_io.corrections import CorrectionHeader, read_correction_header
from dicom_io.durable import FULL, sync_folder
from dicom_io.errors import NotReadable
from dicom_io.headers import InstanceHeader, describe
from dicom_io.instance_kinds import InstanceKind
from dicom_io.network.answers import Answer, Status
from dicom_io.network.scp import ReceivedFile
from dicom_io.pixels.intact import WholeFile, read_whole_file
from dicom_io.pixels.pixel_element import CutShort
from dicom_io.rejection_notes import RejectionNote, is_rejection_note, read_rejection_note
from dicom_io.segmentations import has_no_frames, read_header
from node.annotations.received import enter_annotation
from node.archive.digests import CHANGED, ArchivedFile
from node.archive.layout import ARCHIVE, INCOMING, QUARANTINE, RECEIVED, archived
from node.archive.space import MEND, Space
from node.archive.versions import Version, version_for
from node.assessments.entered import match_again
from node.assessments.from_sr import enter_report
from node.audit.events import Arrived, enter_received
from node.audit.events import Sender as SentBy
from node.intake.received_again import Corrected, Difference, compare, correct, corrected, hold_contradicting
from node.intake.register import register
from node.intake.rejected import enter_rejection, said_of
from node.intake.same_pixels import PixelComparison
from node.intake.sender_limits import SenderLimits
from node.intake.urgency import urgency_of
from node.intake.worker_process import NoAnswer, WorkerProcess
from node.routing import Decision, Router, everything
from node.store.database import OneWriter, Sessions, read_only
from node.store.faults import describe_fault, is_passing
from node.store.locks import Locks
from node.store.tables import Instance, Result, Study
from node.store.urgency import Urgency
from node.studies.lifecycle import Contradiction, came_again, raise_urgency

log = logging.getLogger(__name__)

_SUCCESS = Answer(Status.SUCCESS)
_CONTENT_BYTES, _CONTENT_S = 1 << 30, 60.0
"""Memory and time for reading a report or a segmentation within dicom_io.bounds; the largest needs a third."""
_Content = ReadReport | CorrectionHeader | RejectionNote | None
_R = TypeVar("_R")


class _Purged(Exception):
    """A file of the archive was deleted by retention while an instance of it came again."""


@dataclass(frozen=True)
class ReceivingLimits:
    """See config.settings.Receiver.

    Attributes:
        min_free_bytes: images are refused if less is free on the disk.
        quota_bytes: images are refused if archive and quarantine hold this much.
        max_image_bytes: the largest data set, after inflating.
        max_image_pixels: the largest image that is decoded to compare it with one of the same UID.
    """

    min_free_bytes: int = 0
    quota_bytes: int | None = None
    max_image_bytes: int = 1 << 30
    max_image_pixels: int = 100_000_000


class Receiving:
    """Stores received files. Thread-safe; the files of one study are handled one after another."""

    def __init__(
        self,
        sessions: Sessions,
        data_dir: Path,
        limits: ReceivingLimits,
        secondary_capture_from: frozenset[str],
        now: Callable[[], float],
        router: Router = everything,
        senders: Sequence[Sender] = (),
        locks: Locks | None = None,
        process: str = "",
        space: Space | None = None,
        ae_title: str = "",
        sender_limits: SenderLimits | None = None,
    ) -> None:
        """`secondary_capture_from`: AE titles whose secondary captures are mammograms; `router`: decides what is
        read; `senders`: whose settings state how urgent their studies are; `locks`: of this process, where others
        receive too, and `process` its name; `space`: the room for files, by the limits if it is left out; `ae_title`:
        the node's; `sender_limits`: of the senders, by their settings if they are left out."""
        self._sessions = sessions
        self._data_dir = data_dir
        self._limits = limits
        self._secondary_capture_from = secondary_capture_from
        self._now = now
        self._router = router
        self._ae_title = ae_title
        self._senders = {sender.ae_title: sender for sender in senders}
        self._pixels = PixelComparison(limits.max_image_pixels)
        self._contents = WorkerProcess(_CONTENT_BYTES, _CONTENT_S)
        self._study_locks = _LockPerStudy()
        self._locks = Locks(sessions) if locks is None else locks
        self._process = process
        self._one_writer = OneWriter(sessions)
        for folder in RECEIVED:
            (data_dir / folder).mkdir(parents=True, exist_ok=True)
        sync_folder(data_dir)
        kept_in = [data_dir / ARCHIVE, data_dir / QUARANTINE]
        self._space = space or Space(kept_in, data_dir, limits.min_free_bytes, limits.quota_bytes, sessions=sessions)
        self._limits_of_senders = sender_limits or SenderLimits(senders, self._space)

    @property
    def incoming(self) -> Path:
        """The folder for files that are being received; on the archive's file system."""
        return self._data_dir / INCOMING / self._process

    def refusal(self, calling_ae_title: str) -> Answer | None:
        try:
            return self._space.refusal() or self._limits_of_senders.refusal(calling_ae_title)
        except OSError:
            return Answer(Status.NO_STORAGE, MEND)

    def accept(self, received: ReceivedFile) -> Answer:
        try:
            whole = read_whole_file(received.path, self._limits.max_image_bytes)
        except CutShort as error:
            return Answer.shortened(Status.TRUNCATED, str(error))
        except NotReadable as error:
            return Answer.shortened(Status.NOT_DICOM, str(error))
        try:
            header = describe(whole.dataset)
        except NotReadable as error:
            return Answer.shortened(Status.BAD_UID, str(error))
        if (received.sop_class_uid, received.sop_instance_uid) != (header.sop_class_uid, header.sop_instance_uid):
            return Answer(Status.DOES_NOT_MATCH, "request and data set name different SOP class or instance")
        try:
            if not whole.has_pixels and self._needs_pixels(header, whole.path):
                return Answer(Status.TRUNCATED, "an image without pixel data: cut short?")
            study = header.study_instance_uid
            with self._study_locks.of(study), self._locks.holding(_lock_of(study)):
                return self._keep(received, whole, header)
        except NotReadable as error:
            return Answer.shortened(Status.NOT_DICOM, str(error))
        except SQLAlchemyError as error:
            # The type only: the message quotes the row, which contains patient data.
            log.error("the database did not take an instance: %s", type(error).__name__)
            return Answer(Status.NO_STORAGE, "the node's database cannot be written: send again")
        except _Purged:
            return Answer(Status.NO_STORAGE, "it was being deleted at this moment: send again")
        except MemoryError:
            log.error("an instance was not taken: not enough memory to compare it with the one of the same UID")
            return Answer(Status.NO_STORAGE, "the node has not enough memory now: send again")
        except OSError as error:
            log.error("an instance was not taken: %s, at %s", describe_fault(error), self._place_of(error))
            status = Status.NO_SPACE if error.errno in FULL else Status.NO_STORAGE
            return Answer(status, "the node's disk did not take it: send again" if is_passing(error) else MEND)

    def _place_of(self, fault: OSError) -> str:
        """The path of the fault without UIDs: `data_dir/archive/*/*`."""
        at = Path(str(fault.filename2 or fault.filename or ""))
        if not at.is_relative_to(self._data_dir):
            return "data_dir"
        first, *rest = at.relative_to(self._data_dir).parts or (".",)
        return "/".join([f"data_dir/{first}", *("*" for _ in rest)])

    def _needs_pixels(self, header: InstanceHeader, path: Path) -> bool:
        if header.kind is InstanceKind.SEGMENTATION:
            return not self._read_in_worker(_is_emptied, path)
        return header.kind.is_image

    def _keep(self, received: ReceivedFile, whole: WholeFile, header: InstanceHeader) -> Answer:
        with self._one_writer.begin() as session:
            ours = exists().where(Result.sop_instance_uid == header.sop_instance_uid)
            known_result = bool(session.scalar(select(ours)))
            is_ours = header.ours or known_result
            row = session.execute(
                select(Instance, Study.study_instance_uid)
                .join(Instance.study)
                .where(Instance.sop_instance_uid == header.sop_instance_uid)
            ).one_or_none()
            study_id = session.scalar(select(Study.id).where(Study.study_instance_uid == header.study_instance_uid))
        if is_ours and not known_result and header.kind is InstanceKind.SEGMENTATION:
            log.warning(
                "%s: a segmentation with Manufacturer mammo-node came that this node did not write: not stored. "
                "If it is an expert's, the viewer must write its own Manufacturer.",
                "a study that is not here" if study_id is None else f"study {study_id}",
            )
        if is_ours:
            self._came_again(received, header, study_id)
            log.info("one of the node's own objects was received: acknowledged, not stored")
            return _SUCCESS
        decision = self._router(header, received.calling_ae_title, self._now())
        sender = self._senders.get(received.calling_ae_title)
        urgency = urgency_of(header, received.priority, sender, decision.urgency)
        if row is None:
            return self._keep_new(received, whole, header, decision, urgency)
        known, study_instance_uid = row
        if study_instance_uid != header.study_instance_uid:
            return self._set_aside(received, whole, header, known, Contradiction.OTHER_STUDY)
        if known.kind != header.kind:
            return self._set_aside(received, whole, header, known, Contradiction.OTHER_KIND)
        self._raise_urgency(known.study_id, urgency)
        return self._keep_resent(received, whole, header, known)

    def _keep_new(
        self,
        received: ReceivedFile,
        whole: WholeFile,
        header: InstanceHeader,
        decision: Decision,
        urgency: Urgency | None,
    ) -> Answer:
        content = self._content(header, whole)
        left_out = "" if decision.read else f"the route {decision.route} says that it is not read"
        # No row has this path, so a file that is there is left over from a crash, and is replaced.
        target = self._data_dir / archived(header.study_instance_uid, header.sop_instance_uid)
        path = self._place(whole.path, target, header)
        with self._entering(path, header, is_new=True) as session:
            instance = register(
                session,
                header,
                str(whole.transfer_syntax_uid),
                path,
                source=received.calling_ae_title,
                now=self._now(),
                reads_secondary_capture=received.calling_ae_title in self._secondary_capture_from,
                left_out=left_out,
                urgency=urgency,
                sha256=received.sha256,
            )
            self._enter(session, instance, received, content)
            said = said_of(content) if isinstance(content, RejectionNote) else ""
            self._audit(session, received, header, instance.study_id, Action.CREATE, said=said)
            log.info("study %d: instance %d received: %s", instance.study_id, instance.id, header.kind)
        return _SUCCESS

    def _keep_resent(self, received: ReceivedFile, whole: WholeFile, header: InstanceHeader, known: Instance) -> Answer:
        kept = self._data_dir / known.path
        if known.purged_at is not None:  # not lost: retention deleted it, and its reading was reported
            log.info("study %d: instance %d came again after it was purged: kept again", known.study_id, known.id)
            version = version_for(kept.parent, header.sop_instance_uid, whole.path, kept)
            self._correct(received, known, whole, header, version, Corrected())
            return _SUCCESS
        try:
            if not ArchivedFile(kept, known.sha256).is_intact:
                raise NotReadable(CHANGED)
            old = read_whole_file(kept, self._limits.max_image_bytes)
        except (NotReadable, FileNotFoundError):
            log.warning("study %d: instance %d: its file was gone or damaged, and came again", known.study_id, known.id)
            # A damaged file is kept: an accepted file is never overwritten.
            version = version_for(kept.parent, header.sop_instance_uid, whole.path, kept)
            self._correct(received, known, whole, header, version, Corrected(restated=True, read_again=True))
            return _SUCCESS
        difference = compare(old, whole, self._pixels)
        if difference is Difference.PIXELS:
            return self._set_aside(received, whole, header, known, Contradiction.OTHER_PIXELS)
        if difference is Difference.NONE:
            self._came_again(received, header, known.study_id, known)
            log.info("study %d: instance %d came again unchanged", known.study_id, known.id)
            return _SUCCESS
        version = version_for(kept.parent, header.sop_instance_uid, whole.path, kept)
        self._correct(received, known, whole, header, version, corrected(old.dataset, whole.dataset))
        return _SUCCESS

    def _correct(
        self,
        received: ReceivedFile,
        known: Instance,
        whole: WholeFile,
        header: InstanceHeader,
        version: Version,
        what: Corrected,
    ) -> None:
        syntax = str(whole.transfer_syntax_uid)
        content = self._content(header, whole)
        path = self._relative(version.path) if version.is_there else self._place(whole.path, version.path, header)
        with self._entering(path, header, is_new=not version.is_there) as session:
            instance = session.get_one(Instance, known.id)
            file = ArchivedFile(Path(path), received.sha256)
            correct(session, instance, header, syntax, file, self._now(), what)
            self._enter(session, instance, received, content)
            said = said_of(content) if isinstance(content, RejectionNote) else ""
            self._audit(session, received, header, instance.study_id, Action.UPDATE, said=said)

    def _came_again(
        self, received: ReceivedFile, header: InstanceHeader, study_id: int | None, known: Instance | None = None
    ) -> None:
        """Enters that an instance was sent that is here already. `known`: its row, if it is not the node's own.

        Raises:
            _Purged: retention deleted its file before the study's row was locked.
        """
        with self._one_writer.begin() as session:
            if study_id is not None:
                came_again(session.get_one(Study, study_id, with_for_update=True), self._now())
            if known is not None and session.get_one(Instance, known.id).purged_at is not None:
                raise _Purged
            self._audit(session, received, header, study_id, Action.READ)

    def _audit(
        self,
        session: Session,
        received: ReceivedFile,
        header: InstanceHeader,
        study_id: int | None,
        action: Action,
        why: str = "",
        said: str = "",
    ) -> None:
        """Enters into the audit trail that an instance came."""
        instance = Arrived(header.study_instance_uid, header.patient_id, header.sop_class_uid, study_id)
        sender = SentBy(received.calling_ae_title, received.peer, self._ae_title, received.user)
        enter_received(session, instance, sender, action, self._now(), why, said)

    def _raise_urgency(self, study_id: int, urgency: Urgency | None) -> None:
        """An instance that comes again may be sent again because its study is urgent now."""
        if urgency is not None:
            with self._one_writer.begin() as session:
                raise_urgency(session, session.get_one(Study, study_id, with_for_update=True), urgency)

    def _content(self, header: InstanceHeader, whole: WholeFile) -> _Content:
        """The content of a report, segmentation or rejection note, read before the transaction begins."""
        if header.kind is InstanceKind.REPORT:
            return self._read_in_worker(read_report, whole.path)
        if header.kind is InstanceKind.SEGMENTATION:
            return self._read_in_worker(read_correction_header, whole.path)
        if is_rejection_note(whole.dataset):
            return self._read_in_worker(read_rejection_note, whole.path)
        return None

    def _read_in_worker(self, read: Callable[[Path], _R], path: Path) -> _R:
        """Calls `read` in the worker process.

        Raises:
            NotReadable: the file is damaged, or needs too much memory or time.
        """
        try:
            return self._contents.call(read, path)
        except NoAnswer as fault:
            log.warning("an instance was refused: its content could not be read: %s", fault)
            raise NotReadable("its content could not be read: damaged, or too large") from fault
        except MemoryError as fault:
            log.warning("an instance was refused: reading its content takes over %d MB", _CONTENT_BYTES // 1_000_000)
            raise NotReadable("its content takes more memory than this node gives it") from fault

    def _enter(self, session: Session, instance: Instance, received: ReceivedFile, content: _Content) -> None:
        """Stores annotations, assessments and rejections of an instance, and matches
        assessments with its study again."""
        if isinstance(content, CorrectionHeader):
            enter_annotation(session, instance, content, received.calling_ae_title)
        if isinstance(content, ReadReport):
            enter_report(session, instance, content, self._now())
        if isinstance(content, RejectionNote):
            enter_rejection(session, instance, content, self._now())
        match_again(session, instance, self._now())

    def _set_aside(
        self, received: ReceivedFile, whole: WholeFile, header: InstanceHeader, known: Instance, why: Contradiction
    ) -> Answer:
        folder = self._data_dir / QUARANTINE / header.study_instance_uid
        version = version_for(folder, header.sop_instance_uid, whole.path)
        # The study is quarantined before the file is moved. A file that is there already has quarantined its study
        # before, and a retry of the sender must not undo what a person has decided since.
        if not version.is_there:
            with self._one_writer.begin() as session:
                hold_contradicting(session, session.get_one(Instance, known.id), why, self._now())
                self._audit(session, received, header, known.study_id, Action.CREATE, f"{why}: set aside")
            self._place(whole.path, version.path, header)
        else:
            self._set_aside_again(received, header, known, version.path, why)
        return Answer.shortened(Status.CONTRADICTS, f"{why}: set aside")

    def _set_aside_again(
        self, received: ReceivedFile, header: InstanceHeader, known: Instance, path: Path, why: Contradiction
    ) -> None:
        """Retention counts the days of the study and of the file from now.

        Raises:
            _Purged: retention deleted the file before the study's row was locked.
        """
        with self._one_writer.begin() as session:
            now = self._now()
            came_again(session.get_one(Study, known.study_id, with_for_update=True), now)
            self._audit(session, received, header, known.study_id, Action.READ, f"{why}: set aside before")
            try:
                os.utime(path, (now, now))
            except FileNotFoundError:
                raise _Purged from None

    @contextmanager
    def _entering(self, path: str, header: InstanceHeader, *, is_new: bool) -> Iterator[Session]:
        """The transaction that stores the row of a file at `path`, which was just moved there if it `is_new`. If it
        fails before the commit, a new file is deleted, so that only a crash, or a database that is away, leaves a file
        without a row in the archive.

        Raises:
            _Purged: retention deleted the file before the study's row was locked.
        """
        with self._one_writer.begin() as session:
            try:
                yield session
                session.flush()
                if not (self._data_dir / path).exists():
                    raise _Purged
            except BaseException:
                if is_new and self._is_ours_alone(path, header):
                    (self._data_dir / path).unlink(missing_ok=True)
                raise

    def _is_ours_alone(self, path: str, header: InstanceHeader) -> bool:
        """Whether no other process can have acknowledged the file at `path`: the study's lock was never lost, and no
        row names the file. Where the database does not say, the file is not ours."""
        try:
            with read_only(self._sessions) as session:
                named = session.scalar(select(exists().where(Instance.path == path)))
        except SQLAlchemyError:
            return False
        return not named and self._locks.never_lost(_lock_of(header.study_instance_uid))

    def _place(self, source: Path, target: Path, header: InstanceHeader) -> str:
        """Moves a durable file to `target`, durably. Both UIDs in the name were validated.

        Raises:
            NoTurn: the study's lock was lost, so that another process may have put its file there meanwhile.
        """
        if not self._locks.never_lost(_lock_of(header.study_instance_uid)):
            raise NoTurn("the lock of a study was lost")
        size = source.stat().st_size
        try:
            source.replace(target)
        except FileNotFoundError:  # a new study; or retention deleted the study's last file, and its folder
            target.parent.mkdir(exist_ok=True)
            sync_folder(target.parent.parent)
            source.replace(target)
        sync_folder(target.parent)
        self._space.took(size)
        return self._relative(target)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._data_dir).as_posix()


def _lock_of(study_instance_uid: str) -> str:
    return f"study {study_instance_uid}"


def _is_emptied(path: Path) -> bool:
    return has_no_frames(read_header(path))


class _LockPerStudy:
    """One lock per key."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._given_back = threading.Condition()

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        with self._given_back:
            self._given_back.wait_for(lambda: key not in self._taken)
            self._taken.add(key)
        try:
            yield
        finally:
            with self._given_back:
                self._taken.discard(key)
                self._given_back.notify_all()
