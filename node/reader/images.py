"""The reader's loop: claims image jobs, decodes the images, runs the models, and stores the readings.

Runs in the reader process (process.py), the only one with torch. An unexpected exception ends the process; the image
that caused it is claimed again alone, and fails after `attempts` times.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dicom_io.durable import write_durably
from dicom_io.errors import NotReadable
from dicom_io.headers import chest_wall_side
from dicom_io.pixels.mammogram import read_mammogram
from dicom_io.segmentations import read_header
from models.anatomy.breast import breast_side
from models.pipeline import Pipeline
from models.protocols import OutOfMemory
from models.readings.reading_json import masks_of, to_json
from models.types.mammogram import Mammogram
from models.types.reading import ImageReading
from models.types.words import counted
from node.archive.layout import masks_of_reading
from node.reader.memory import give_back_freed_memory
from node.store.changes import ChangeWatch
from node.store.database import Sessions, read_only
from node.store.faults import FAULT_POLICY, RAISED_AS, FaultPolicy, describe_fault, given_up, is_passing
from node.store.queue import Claim, LeaseLost, claim, finish, next_due, put_off, renew
from node.store.states import JobKind, JobState
from node.store.tables import Instance
from node.store.unread import Unread

log = logging.getLogger(__name__)

KILLS_THE_READER = "unreadable: kills the reader ({attempts})"
TOO_LARGE = "unreadable: the device's memory does not hold it, even alone"


@dataclass(frozen=True)
class ReadingLimits:
    """See config.settings.Reader and Receiver, and for `fault_policy` faults.py."""

    batch: int
    attempts: int
    lease_s: float
    max_image_pixels: int
    fault_policy: FaultPolicy = FAULT_POLICY


@dataclass(frozen=True)
class ImageReader:
    """Reads the images of the queue.

    Attributes:
        data_dir: the data folder; paths in the database are relative to it.
        worker: the name in the leases.
        now: UTC seconds since the epoch.
        on_stored: called with an image's row number, its pixels and its reading, once the reading is stored.
    """

    sessions: Sessions
    data_dir: Path
    pipeline: Pipeline
    worker: str
    limits: ReadingLimits
    now: Callable[[], float]
    on_stored: Callable[[int, Mammogram, ImageReading], None] = lambda *_: None

    def run(self, stop: threading.Event) -> None:
        """Reads until `stop` is set."""
        with ChangeWatch(self.sessions, self.now) as changes:
            while not stop.is_set():
                looked_at = self.now()
                if not self.read_some():
                    give_back_freed_memory()
                    with read_only(self.sessions) as session:
                        due = next_due(session, JobKind.READ_IMAGE, looked_at)
                    changes.wait(stop, due)

    def read_some(self) -> int:
        """Reads one batch; returns the number of claimed images (0: nothing to do)."""
        with self.sessions.begin() as session:
            claims = claim(session, JobKind.READ_IMAGE, self.worker, self.now(), self.limits.lease_s, self.limits.batch)
            paths = {held.job_id: self._path(session.get_one(Instance, held.instance_id)) for held in claims}
        decoded: list[tuple[Claim, Mammogram, float]] = []
        for held in claims:
            if held.attempts > self.limits.attempts:
                self._give_up(held, KILLS_THE_READER.format(attempts=counted(self.limits.attempts, "attempt")))
                continue
            began = self.now()
            try:
                image = decode(paths[held.job_id], self.limits.max_image_pixels)
            except NotReadable as reason:
                self._give_up(held, str(reason))
                continue
            except RAISED_AS as fault:
                if not is_passing(fault):
                    raise
                self._put_off(held, describe_fault(fault))
                continue
            decoded.append((held, image, self.now() - began))
        if decoded:
            self._read(decoded)
        return len(claims)

    def _path(self, instance: Instance) -> Path:
        return self.data_dir / instance.path

    def _read(self, decoded: list[tuple[Claim, Mammogram, float]]) -> None:
        with self.sessions.begin() as session:
            renew(session, [held for held, _, _ in decoded], self.now(), self.limits.lease_s)
        reason, alone = "", len(decoded) == 1
        try:
            readings = self.pipeline.read([image for _, image, _ in decoded])
        except OutOfMemory:
            readings = []
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
            self._give_up(decoded[0][0], TOO_LARGE)

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
            log.warning("job %d: its lease was lost while it was read; the reading is dropped", held.job_id)
        else:
            self.on_stored(stored, image, reading)
            log.info("job %d: read, %s", held.job_id, counted(len(reading.findings), "finding"))

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
            log.warning("job %d: its lease was lost before it was postponed", held.job_id)
        else:
            log.warning("job %d: postponed, not because of the image: %s", held.job_id, reason)

    def _give_up(self, held: Claim, reason: str) -> None:
        try:
            with self.sessions.begin() as session:
                finish(session, held, JobState.FAILED, reason)
                session.get_one(Instance, held.instance_id).leave_unread(Unread.UNREADABLE, reason)
        except LeaseLost:
            log.warning("job %d: its lease was lost before it was given up", held.job_id)
        else:
            log.warning("job %d: not readable: %s", held.job_id, reason)


def decode(path: Path, max_image_pixels: int) -> Mammogram:
    """The input of the models for an archived image, with a warning if its laterality looks wrong.

    Raises:
        NotReadable: the file is missing, may not be read, or cannot be decoded.
        OSError, MemoryError: a temporary fault of the machine (faults.py).
    """
    try:
        image = read_mammogram(path, max_image_pixels)
        expected = chest_wall_side(read_header(path))
    except FileNotFoundError as error:
        raise NotReadable("its file is gone from the archive: send it again") from error
    except PermissionError as error:
        raise NotReadable("its file in the archive may not be read: mend its permissions, then retry") from error
    except OSError as error:
        if is_passing(error):
            raise
        raise NotReadable(
            f"its file in the archive cannot be read, {describe_fault(error)}: mend that, then retry"
        ) from error
    seen = breast_side(image.pixels)
    if expected is not None and seen is not None and seen != expected:
        warning = f"The header puts the chest wall on the {expected}, the pixels on the {seen}: check the laterality."
        return replace(image, warnings=(*image.warnings, warning))
    return image
