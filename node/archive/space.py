"""Disk space: new images are refused before the disk is full (safety rule 8)."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from dicom_io.network.answers import Answer, Status

MEND = "the node's data folder must be mended: its `status` says how"


class Space:
    """Checks the free space of the data folder's disk, and a quota for the received files."""

    def __init__(self, kept_in: Iterable[Path], disk: Path, min_free_bytes: int, quota_bytes: int | None) -> None:
        """`kept_in`: the folders that count against the quota. Their size is measured once, here."""
        self._disk = disk
        self._min_free_bytes = min_free_bytes
        self._quota_bytes = quota_bytes
        self._lock = threading.Lock()
        self._used = sum(_size(folder) for folder in kept_in) if quota_bytes is not None else 0

    def refusal(self) -> Answer | None:
        """The answer to senders if there is no room; None if there is."""
        try:
            free = shutil.disk_usage(self._disk).free
        except OSError:
            return Answer(Status.NO_STORAGE, MEND)
        if free < self._min_free_bytes:
            return Answer(Status.NO_SPACE, "disk nearly full (min_free_mb): free some and send again")
        if self._quota_bytes is not None and self._used >= self._quota_bytes:
            return Answer(Status.NO_SPACE, "the node's quota (quota_mb) is used up")
        return None

    def took(self, size: int) -> None:
        """Adds a stored file to the used quota."""
        with self._lock:
            self._used += size


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
