"""A lock that allows one node per data folder: two nodes would read and send everything twice."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import UserError
from node.archive.layout import LOCK


class AlreadyRunning(UserError):
    """Another node uses this data folder."""


class DataFolderUnusable(UserError):
    """The data folder cannot be created or written; the message says why."""


@contextmanager
def only_node(data_dir: Path) -> Iterator[None]:
    """Locks the data folder for this process. The lock is released when the process ends, also when it is killed.

    Sets permissions so that only the node's user can read the folder, also if it was created with other permissions.

    Raises:
        AlreadyRunning: another process holds the lock.
        DataFolderUnusable: the folder cannot be created or written.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # patients' data: for the node's own user
        held = (data_dir / LOCK).open("w")
    except OSError as error:
        raise DataFolderUnusable(
            f"data_dir {data_dir} cannot be used: {error.strerror}. It must be a folder that the node may write in."
        ) from error
    with held as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"Another mammo-node works in {data_dir}: stop it, or set another data_dir."
            ) from error
        for entry in data_dir.iterdir():
            if entry.owner() == data_dir.owner() and not entry.is_symlink():
                entry.chmod(0o700 if entry.is_dir() else 0o600)
        yield
