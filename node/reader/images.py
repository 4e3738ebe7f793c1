"""The reader's loop: claims image jobs, has an executor read the images, and stores the readings.

Runs in the reader process (process.py). An unexpected exception ends the process; the image that caused it is claimed
again alone, and fails after `attempts` times.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from dicom_io.durable import write_durably
from models.readings.reading_json import masks_of, to_json
from models.types.reading import ImageReading
from models.types.words import counted
from node.archive.digests import ArchivedFile
from node.archive.layout import masks_of_reading
from node.reader.decoding import kills_the_reader
from node.reader.executor import Executor, ExecutorLost, Hindered, Outcomes, Read, Unreadable
from node.reader.memory import give_back_freed_memory
from node.store.changes import ChangeWatch
from node.store.database import Sessions, read_only
from node.store.events import tell_failure
from node.store.faults import FAULT_POLICY, RAISED_AS, FaultPolicy, describe_fault, given_up, is_passing
from node.store.queue import Claim, LeaseLost, claim, finish, give_back_claims, next_due, put_off, renew, wait_again
from node.store.states import JobKind, JobState
from node.store.tables import Instance
from node.store.unread import Unread

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadingLimits:
    """See config.settings.Reader, and for `fault_policy` faults.py.

    Attributes:
        gather_s: how long a batch that is not full waits for more images.
    """

    batch: int
    attempts: int
    lease_s: float
    fault_policy: FaultPolicy = FAULT_POLICY
    gather_s: float = 0.0


class _FileReplaced(Exception):
    """The file that was read is not the instance's any more: a corrected one has come."""


@dataclass(frozen=True)
class _Begun:
    """A claimed batch that an executor has begun to read, with the file of each image."""

    held: Sequence[Claim]
    files: Sequence[ArchivedFile]
    outcomes: Outcomes


@dataclass(frozen=True)
class ImageReader:
    """Reads the images of the queue.

    Attributes:
        data_dir: the data folder; paths in the database are relative to it.
        executor: decodes the images and has the models read them, here or elsewhere.
        worker: the name in the leases.
        now: UTC seconds since the epoch.
    """

    sessions: Sessions
    data_dir: Path
    executor: Executor
    worker: str
    limits: ReadingLimits
    now: Callable[[], float]
    pause: Callable[[float], None] = time.sleep

    def run(self, stop: threading.Event) -> None:
        """Reads until `stop` is set: the batch that is being read then is finished, and one that was only begun is
        given back.

        Raises:
            ExecutorLost: its images were given back.
        """
        begun: _Begun | None = None
        with ChangeWatch(self.sessions, self.now) as changes:
            while not stop.is_set():
                looked_at = self.now()
                begun = begun or self._begin()
                if begun:
                    begun = self._read_on(begun)
                    continue
                give_back_freed_memory()
                with read_only(self.sessions) as session:
                    due = next_due(session, JobKind.READ_IMAGE, looked_at)
                changes.wait(stop, due)
        if begun:
            self._give_back(begun.held, counts=False)

    def read_some(self) -> int:
        """Reads one batch; returns the number of claimed images (0: nothing to do)."""
        begun = self._begin()
        if begun is None:
            return 0
        self._read(begun)
        return len(begun.held)

    def _read_on(self, begun: _Begun) -> _Begun | None:
        """Reads a batch, and meanwhile has the next one begun, which it returns.

        Beside an image that was tried before none is claimed: it may end the executor.
        """
        tried = any(held.attempts > 1 for held in begun.held)
        following = self._begin(untried=True) if self.executor.ahead and not tried else None
        try:
            self._read(begun, () if following is None else following.held)
        except ExecutorLost as lost:
            self._give_back([*begun.held, *(following.held if following else ())], counts=lost.counts)
            raise
        return following

    def _begin(self, untried: bool = False) -> _Begun | None:
        """Claims a batch and has it begun. A batch that is not full waits `gather_s` for more images."""
        claimed = self._claim(self.limits.batch, untried)
        while claimed and claimed[0][0].attempts > self.limits.attempts:  # claimed alone
            self._give_up(*claimed[0], kills_the_reader(self.limits.attempts))
            claimed = self._claim(self.limits.batch, untried)
        missing = self.limits.batch - len(claimed)
        if self.limits.gather_s and claimed and missing and claimed[0][0].attempts == 1:
            self.pause(self.limits.gather_s)
            claimed += self._claim(missing, untried=True)
        if not claimed:
            return None
        files = [file for _, file in claimed]
        return _Begun([held for held, _ in claimed], files, self.executor.begin(files))

    def _claim(self, most: int, untried: bool) -> list[tuple[Claim, ArchivedFile]]:
        with self.sessions.begin() as session:
            claims = claim(
                session, JobKind.READ_IMAGE, self.worker, self.now(), self.limits.lease_s, most, untried=untried
            )
            images = [session.get_one(Instance, held.instance_id) for held in claims]
            files = [ArchivedFile(self.data_dir / image.path, image.sha256) for image in images]
            return list(zip(claims, files, strict=True))

    def _read(self, begun: _Begun, following: Sequence[Claim] = ()) -> None:
        """Reads a batch. The leases of the one that is begun meanwhile are renewed with its own."""

        def renewed(places: Sequence[int]) -> None:
            held = [*(begun.held[place] for place in places), *following]
            with self.sessions.begin() as session:
                renew(session, held, self.now(), self.limits.lease_s)

        for place, outcome in begun.outcomes(renewed):
            held, file = begun.held[place], begun.files[place]
            match outcome:
                case Read(reading):
                    self._store_or_put_off(held, file, reading)
                case Unreadable(reason):
                    self._give_up(held, file, reason)
                case Hindered(reason):
                    self._put_off(held, file, reason)

    def _store_or_put_off(self, held: Claim, file: ArchivedFile, reading: ImageReading) -> None:
        try:
            self._store(held, file, reading)
        except RAISED_AS as fault:
            if not is_passing(fault):
                raise
            self._put_off(held, file, describe_fault(fault))

    def _store(self, held: Claim, file: ArchivedFile, reading: ImageReading) -> None:
        masks_path = masks_of_reading(held.instance_id, held.job_id, held.token)
        write_durably(self.data_dir / masks_path, masks_of(reading))
        try:
            with self.sessions.begin() as session:
                finish(session, held, JobState.DONE)
                instance = self._image_of(session, held, file)
                instance.reading = to_json(reading)
                instance.masks_path = str(masks_path)
                instance.read_at = self.now()
                instance.leave_unread(None)
        except LeaseLost:
            (self.data_dir / masks_path).unlink(missing_ok=True)
            log.warning(
                "study %d: job %d: its lease was lost while it was read; the reading is dropped",
                held.study_id,
                held.job_id,
            )
        except _FileReplaced:
            (self.data_dir / masks_path).unlink(missing_ok=True)
            self._read_anew(held)
        else:
            log.info(
                "study %d: job %d: read, %s", held.study_id, held.job_id, counted(len(reading.findings), "finding")
            )

    def _image_of(self, session: Session, held: Claim, file: ArchivedFile) -> Instance:
        """The instance whose file was read, under the lock of its study.

        Raises:
            _FileReplaced: it has another file now.
        """
        instance = session.get_one(Instance, held.instance_id)
        if self.data_dir / instance.path != file.path:
            raise _FileReplaced
        return instance

    def _read_anew(self, held: Claim) -> None:
        """Has the image read again, from the file that it has now; no attempt is counted."""
        try:
            with self.sessions.begin() as session:
                wait_again(session, held)
        except LeaseLost:
            log.warning("study %d: job %d: its lease was lost before it was read again", held.study_id, held.job_id)
        else:
            log.info("study %d: job %d: the image came again while it was read: read again", held.study_id, held.job_id)

    def _give_back(self, held: Sequence[Claim], *, counts: bool) -> None:
        with self.sessions.begin() as session:
            give_back_claims(session, held, self.now(), counts=counts)

    def _put_off(self, held: Claim, file: ArchivedFile, reason: str) -> None:
        """Puts an image off after a fault of the machine; the others are still read."""
        faults = held.faults + 1
        again_at = self.limits.fault_policy.again_at(faults, self.now())
        if again_at is None:
            self._give_up(held, file, given_up(faults, reason))
            return
        try:
            with self.sessions.begin() as session:
                put_off(session, held, reason, again_at)
        except LeaseLost:
            log.warning("study %d: job %d: its lease was lost before it was postponed", held.study_id, held.job_id)
        else:
            log.warning("study %d: job %d: postponed, not because of the image: %s", held.study_id, held.job_id, reason)

    def _give_up(self, held: Claim, file: ArchivedFile, reason: str) -> None:
        try:
            with self.sessions.begin() as session:
                finish(session, held, JobState.FAILED, reason)
                instance = self._image_of(session, held, file)
                instance.leave_unread(Unread.UNREADABLE, reason)
                tell_failure(session, instance.study, self.now())
        except LeaseLost:
            log.warning("study %d: job %d: its lease was lost before it was given up", held.study_id, held.job_id)
        except _FileReplaced:
            self._read_anew(held)
        else:
            log.warning("study %d: job %d: not readable: %s", held.study_id, held.job_id, reason)
