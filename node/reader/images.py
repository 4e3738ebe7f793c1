"""The reader's loop: claims image jobs, decodes the images, runs the models, and stores the readings.

Runs in the reader process (process.py), the only one with torch. An unexpected exception ends the process; the image
that caused it is claimed again alone, and fails after `attempts` times.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dicom_io.durable import write_durably
from dicom_io.errors import NotReadable
from models.pipeline import Pipeline
from models.protocols import NotFinite, OutOfMemory
from models.readings.reading_json import masks_of, to_json
from models.types.mammogram import Mammogram
from models.types.reading import ImageReading
from models.types.words import counted
from node.archive.layout import masks_of_reading
from node.reader.decoding import Decoder, kills_the_reader
from node.reader.memory import give_back_freed_memory
from node.store.changes import ChangeWatch
from node.store.database import Sessions, read_only
from node.store.events import tell_failure
from node.store.faults import FAULT_POLICY, RAISED_AS, FaultPolicy, describe_fault, given_up, is_passing
from node.store.queue import Claim, LeaseLost, claim, finish, next_due, put_off, renew
from node.store.states import JobKind, JobState
from node.store.tables import Instance
from node.store.unread import Unread

log = logging.getLogger(__name__)

TOO_LARGE = "unreadable: the device's memory does not hold it, even alone"


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


@dataclass(frozen=True)
class _Begun:
    """A claimed image; the function waits until it is decoded. None: it has ended the reader too often."""

    held: Claim
    image: Callable[[], Mammogram] | None


@dataclass(frozen=True)
class ImageReader:
    """Reads the images of the queue.

    Attributes:
        data_dir: the data folder; paths in the database are relative to it.
        worker: the name in the leases.
        now: UTC seconds since the epoch.
        decoder: decodes a batch's images; if it can do so beside, while the models read the batch before.
        on_stored: called with an image's row number, its pixels and its reading, once the reading is stored.
    """

    sessions: Sessions
    data_dir: Path
    pipeline: Pipeline
    worker: str
    limits: ReadingLimits
    decoder: Decoder
    now: Callable[[], float]
    pause: Callable[[float], None] = time.sleep
    on_stored: Callable[[int, Mammogram, ImageReading], None] = lambda *_: None

    def run(self, stop: threading.Event) -> None:
        """Reads until `stop` is set."""
        begun: list[_Begun] = []
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

    def read_some(self) -> int:
        """Reads one batch; returns the number of claimed images (0: nothing to do)."""
        begun = self._begin()
        self._read_begun(begun)
        return len(begun)

    def _read_on(self, begun: list[_Begun]) -> list[_Begun]:
        """Reads a batch, and meanwhile has the next one decoded, which it returns.

        Beside an image that was tried before none is claimed: it may end this process.
        """
        tried = any(each.held.attempts > 1 for each in begun)
        following = self._begin(untried=True) if self.decoder.beside and not tried else []
        self._read_begun(begun)
        return following

    def _begin(self, untried: bool = False) -> list[_Begun]:
        """Claims a batch and begins to decode it. A batch that is not full waits `gather_s` for more images."""
        begun = self._claim(self.limits.batch, untried)
        missing = self.limits.batch - len(begun)
        if self.limits.gather_s and begun and missing and begun[0].held.attempts == 1:
            self.pause(self.limits.gather_s)
            begun += self._claim(missing, untried=True)
        return begun

    def _claim(self, most: int, untried: bool) -> list[_Begun]:
        with self.sessions.begin() as session:
            claims = claim(
                session, JobKind.READ_IMAGE, self.worker, self.now(), self.limits.lease_s, most, untried=untried
            )
            paths = [self._path(session.get_one(Instance, held.instance_id)) for held in claims]
        return [
            _Begun(held, self.decoder.begin(path) if held.attempts <= self.limits.attempts else None)
            for held, path in zip(claims, paths, strict=True)
        ]

    def _read_begun(self, begun: Sequence[_Begun]) -> None:
        decoded: list[tuple[Claim, Mammogram, float]] = []
        for each in begun:
            if each.image is None:
                self._give_up(each.held, kills_the_reader(self.limits.attempts))
                continue
            began = self.now()
            try:
                image = each.image()
            except NotReadable as reason:
                self._give_up(each.held, str(reason))
                continue
            except RAISED_AS as fault:
                if not is_passing(fault):
                    raise
                self._put_off(each.held, describe_fault(fault))
                continue
            decoded.append((each.held, image, self.now() - began))
        if decoded:
            self._read(decoded)

    def _path(self, instance: Instance) -> Path:
        return self.data_dir / instance.path

    def _read(self, decoded: list[tuple[Claim, Mammogram, float]]) -> None:
        with self.sessions.begin() as session:
            renew(session, [held for held, _, _ in decoded], self.now(), self.limits.lease_s)
        reason, never, alone = "", TOO_LARGE, len(decoded) == 1
        try:
            readings = self.pipeline.read([image for _, image, _ in decoded])
        except OutOfMemory:
            readings = []
        except NotFinite as fault:
            readings, never = [], f"unreadable: {fault}"
        except RAISED_AS as fault:
            if not is_passing(fault):
                raise
            readings, reason = [], describe_fault(fault)
        # Outside the except block: its traceback would keep the memory of the failed batch.
        if readings:
            for (held, image, decode_s), reading in zip(decoded, readings, strict=True):
                self._store_or_put_off(held, image, replace(reading, seconds={"decode": decode_s, **reading.seconds}))
        elif not alone:
            for claimed in decoded:
                self._read([claimed])
        elif reason:
            self._put_off(decoded[0][0], reason)
        else:
            self._give_up(decoded[0][0], never)

    def _store_or_put_off(self, held: Claim, image: Mammogram, reading: ImageReading) -> None:
        try:
            self._store(held, image, reading)
        except RAISED_AS as fault:
            if not is_passing(fault):
                raise
            self._put_off(held, describe_fault(fault))

    def _store(self, held: Claim, image: Mammogram, reading: ImageReading) -> None:
        masks_path = masks_of_reading(held.instance_id, held.token)
        write_durably(self.data_dir / masks_path, masks_of(reading))
        try:
            with self.sessions.begin() as session:
                finish(session, held, JobState.DONE)
                instance = session.get_one(Instance, held.instance_id)
                instance.reading = to_json(reading)
                instance.masks_path = str(masks_path)
                instance.read_at = self.now()
                instance.leave_unread(None)
                stored = instance.id
        except LeaseLost:
            (self.data_dir / masks_path).unlink(missing_ok=True)
            log.warning(
                "study %d: job %d: its lease was lost while it was read; the reading is dropped",
                held.study_id,
                held.job_id,
            )
        else:
            self.on_stored(stored, image, reading)
            log.info(
                "study %d: job %d: read, %s", held.study_id, held.job_id, counted(len(reading.findings), "finding")
            )

    def _put_off(self, held: Claim, reason: str) -> None:
        """Puts an image off after a fault of the machine; the others are still read."""
        faults = held.faults + 1
        again_at = self.limits.fault_policy.again_at(faults, self.now())
        if again_at is None:
            self._give_up(held, given_up(faults, reason))
            return
        try:
            with self.sessions.begin() as session:
                put_off(session, held, reason, again_at)
        except LeaseLost:
            log.warning("study %d: job %d: its lease was lost before it was postponed", held.study_id, held.job_id)
        else:
            log.warning("study %d: job %d: postponed, not because of the image: %s", held.study_id, held.job_id, reason)

    def _give_up(self, held: Claim, reason: str) -> None:
        try:
            with self.sessions.begin() as session:
                finish(session, held, JobState.FAILED, reason)
                instance = session.get_one(Instance, held.instance_id)
                instance.leave_unread(Unread.UNREADABLE, reason)
                tell_failure(session, instance.study, self.now())
        except LeaseLost:
            log.warning("study %d: job %d: its lease was lost before it was given up", held.study_id, held.job_id)
        else:
            log.warning("study %d: job %d: not readable: %s", held.study_id, held.job_id, reason)
