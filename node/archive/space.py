"""Disk space: new images are refused before the disk is full (safety rule 8).

What counts against the quota is one figure of all processes, in the database: each adds there what it stored and takes
off what it deleted, and one of them walks through the folders from time to time and sets it right.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings
from dicom_io.network.answers import Answer, Status
from node.archive.layout import ARCHIVE, QUARANTINE
from node.store.advisory import lock_in_transaction
from node.store.clock import steady
from node.store.database import Sessions
from node.store.tables import UsedSpace

_MB = 1_000_000
MEND = "the node's data folder must be mended: its `status` says how"
_SHARE = 50
"""Measuring takes at most one part in so many of the time, however many files there are."""


@dataclass(frozen=True)
class _Figure:
    """See UsedSpace."""

    size: int
    measured: int

    def after(self, changed: int, error: int, measured: int | None) -> _Figure:
        if measured == self.measured:
            return _Figure(self.size + changed + error, self.measured + 1)
        return _Figure(self.size + changed, self.measured)


class Space:
    """Checks the free space of the data folder's disk, and a quota for the received files. Thread-safe."""

    def __init__(
        self,
        kept_in: Iterable[Path],
        disk: Path,
        min_free_bytes: int,
        quota_bytes: int | None,
        now: Callable[[], float] = steady,
        sessions: Sessions | None = None,
    ) -> None:
        """`kept_in`: the folders that count against the quota. `sessions`: where the figure is that all processes
        share; it is read here, and nothing is measured. None: this process is alone."""
        self._kept_in = list(kept_in)
        self._disk = disk
        self._min_free_bytes = min_free_bytes
        self._quota_bytes = quota_bytes
        self._now = now
        self._lock = threading.Lock()
        self._sessions = sessions
        self._sharing = threading.Lock()
        self._shared = _Figure(0, 0)
        self._changed = self._given_back = 0
        self._is_measured = False
        self._next_at = now()
        self.share()

    def share(self) -> None:
        """Adds to the figure of all processes what changed here, and reads what changed elsewhere; as a tick."""
        if self._quota_bytes is not None:
            self._add(0, None)

    def measure(self) -> None:
        """Measures what the folders hold, also what other programs deleted from them, and sets the figure right; as a
        tick, since it takes a while with many files. Without a quota nothing is measured."""
        if self._quota_bytes is None or self._now() < self._next_at:
            return
        with self._lock:
            given_back = self._given_back
        before = self._add(0, None)
        began = self._now()
        measured = sum(_size(folder) for folder in self._kept_in)
        self._next_at = began + _SHARE * (self._now() - began)
        with self._lock:
            given_back = self._given_back - given_back
        # What was stored meanwhile counts, and perhaps twice, until the next time. What was deleted meanwhile may count
        # until then, and is never taken off twice.
        self._add(measured + given_back - before.size, before.measured)
        self._is_measured = True

    @property
    def is_known(self) -> bool:
        """Whether what is used was measured since this process started, or nothing needs to be."""
        return self._quota_bytes is None or self._is_measured

    def _add(self, error: int, measured: int | None) -> _Figure:
        """Adds to the shared figure what changed here; and `error`, by which it was wrong after so many measurements,
        unless another process has measured since."""
        with self._sharing:
            with self._lock:
                changed = self._changed
            if self._sessions is None:
                figure = self._shared.after(changed, error, measured)
            else:
                with self._sessions.begin() as session:
                    lock_in_transaction(session, "used space")
                    row = session.get(UsedSpace, 1)
                    if row is None:
                        row = UsedSpace(id=1, size=0, measured=0)
                        session.add(row)
                    figure = _Figure(row.size, row.measured).after(changed, error, measured)
                    row.size, row.measured = figure.size, figure.measured
            with self._lock:
                self._shared = figure
                self._changed -= changed
            return figure

    def refusal(self) -> Answer | None:
        """The answer to senders if there is no room; None if there is."""
        try:
            free = shutil.disk_usage(self._disk).free
        except OSError:
            return Answer(Status.NO_STORAGE, MEND)
        if free < self._min_free_bytes:
            return Answer(Status.NO_SPACE, "disk nearly full (min_free_mb): free some and send again")
        if self._quota_bytes is not None and self.used >= self._quota_bytes:
            return Answer(Status.NO_SPACE, "the node's quota (quota_mb) is used up")
        return None

    @property
    def used(self) -> int:
        """Bytes that count against the quota; 0 without one."""
        with self._lock:
            return max(0, self._shared.size + self._changed) if self._quota_bytes is not None else 0

    def share_used(self) -> float:
        """The share (0..1) that is used: of the quota, or without one of the disk.

        Raises:
            OSError: the disk does not answer.
        """
        if self._quota_bytes is not None:
            return self.used / self._quota_bytes
        usage = shutil.disk_usage(self._disk)
        return 1 - usage.free / usage.total

    def free(self) -> int:
        """Bytes that are left, of the disk or of the quota, whichever is less.

        Raises:
            OSError: the disk does not answer.
        """
        free = shutil.disk_usage(self._disk).free
        return free if self._quota_bytes is None else min(free, self._quota_bytes - self.used)

    def took(self, size: int) -> None:
        """Adds a stored file to what is used."""
        with self._lock:
            self._changed += size

    def gave_back(self, size: int) -> None:
        """Takes a deleted file off."""
        with self._lock:
            self._changed -= size
            self._given_back += size


def space_of(settings: Settings, sessions: Sessions | None) -> Space:
    """The room for what is received, by the settings."""
    limits = settings.receiver
    return Space(
        [settings.data_dir / ARCHIVE, settings.data_dir / QUARANTINE],
        settings.data_dir,
        limits.min_free_mb * _MB,
        None if limits.quota_mb is None else limits.quota_mb * _MB,
        sessions=sessions,
    )


def _size(folder: Path) -> int:
    """Of all files; what goes meanwhile does not count."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(parent, name).stat().st_size
    return size
