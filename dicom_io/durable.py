"""Writes files that survive a power cut: fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
"""The error numbers of a full disk or an exceeded disk quota."""


def write_durably(path: Path, data: bytes) -> None:
    """Writes `data` to `path` atomically and durably."""
    make_folder(path.parent)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def create_durably(path: Path, data: bytes) -> bytes:
    """Makes a file atomically and durably, unless it is there; returns what it holds, which another process that made
    it at the same time may have written. Only the user may read it."""
    make_folder(path.parent)
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        Path(part).unlink()
    sync_folder(path.parent)
    return path.read_bytes()


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Makes a folder durably, and those above it, unless it is there; another process may make it at the same time."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames and new files in `folder` durable (fsync)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
