"""The locks of the data folder: one node works in it, and with SQLite each part of the node in one process.

Two nodes with queues of their own in one folder would read and send everything twice.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from sqlalchemy import URL, make_url

from models.errors import UserError
from node.archive.layout import LOCK, lock_of_part

_BRIEFLY_S = 5.0
"""How long another process that starts may hold the folder alone."""
_LOOK_EVERY_S = 0.05


class AlreadyRunning(UserError):
    """Another node uses this data folder, or another process does the same part."""


class DataFolderUnusable(UserError):
    """The data folder cannot be created or written; the message says why."""


@contextmanager
def only_node(data_dir: Path) -> Iterator[None]:
    """Locks the data folder for this process alone. The lock is released when the process ends, also when it is killed.

    Sets permissions so that only the node's user can read the folder, also if it was created with other permissions.

    Raises:
        AlreadyRunning: another process holds the lock.
        DataFolderUnusable: the folder cannot be created or written.
    """
    with _opened(data_dir) as lock:
        if not _locked(lock, fcntl.LOCK_EX):
            raise _works_here(data_dir)
        _keep_private(data_dir)
        yield


@contextmanager
def part_of_a_node(
    data_dir: Path, database_url: str, parts: Iterable[str], when_alone: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Locks the data folder for the processes of one node, which share a queue. With SQLite no other process may do one
    of the `parts`; with PostgreSQL several may (node/store/locks.py).

    Args:
        when_alone: called first, if no other process works in the folder, which none begins to do meanwhile.

    Raises:
        AlreadyRunning: another node, or another process with the same part, works in the folder.
        DataFolderUnusable: the folder cannot be created or written.
    """
    queue = _without_who(database_url)
    with ExitStack() as held:
        _share(held.enter_context(_opened(data_dir)), data_dir, queue, when_alone)
        for part in sorted(parts) if make_url(database_url).get_backend_name() == "sqlite" else ():
            lock = held.enter_context(_file(data_dir, lock_of_part(part)))
            if not _locked(lock, fcntl.LOCK_EX):
                raise AlreadyRunning(
                    f"Another mammo-node works in {data_dir} and does the part {part}: stop it. With SQLite each part "
                    "runs in one process; with PostgreSQL several may do it."
                )
        yield


def is_free(data_dir: Path) -> bool:
    """Whether no node works in the data folder. Writes nothing; a node that starts at this moment waits for it.

    Raises:
        DataFolderUnusable: the lock is there and cannot be opened.
    """
    try:
        lock = (data_dir / LOCK).open("r+", encoding="utf-8")  # for a lock over NFS, writing must be possible
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        raise _unusable(data_dir, error) from error
    with lock:
        return _locked(lock, fcntl.LOCK_EX)


@contextmanager
def only_one(data_dir: Path, what: str) -> Iterator[None]:
    """Keeps other processes from doing `what` in the data folder meanwhile; a word of small letters.

    Raises:
        AlreadyRunning: another process does it.
        DataFolderUnusable: the folder cannot be written.
    """
    with _file(data_dir, lock_of_part(what)) as lock:
        if not _locked(lock, fcntl.LOCK_EX):
            raise AlreadyRunning(f"Another process does the same in {data_dir} ({what}): wait until it has ended.")
        yield


def _share(lock: IO[str], data_dir: Path, queue: str, when_alone: Callable[[], None]) -> None:
    """Takes the shared lock. Whoever is alone writes which queue the folder belongs to; all others compare."""
    until = time.monotonic() + _BRIEFLY_S
    its = ""
    while True:
        if _locked(lock, fcntl.LOCK_EX):
            _keep_private(data_dir)
            lock.truncate(0)
            lock.write(queue)
            lock.flush()
            when_alone()
            fcntl.flock(lock, fcntl.LOCK_UN)  # flock(2): it cannot become a shared one without a gap
        if _locked(lock, fcntl.LOCK_SH):
            lock.seek(0)
            its = lock.read()
            if its == queue:
                return
            fcntl.flock(lock, fcntl.LOCK_UN)
        if time.monotonic() > until:
            raise _has_other_queue(data_dir, its, queue) if its else _works_here(data_dir)
        time.sleep(_LOOK_EVERY_S)


def _has_other_queue(data_dir: Path, its: str, ours: str) -> AlreadyRunning:
    return AlreadyRunning(
        f"Another mammo-node works in {data_dir}, with the queue {its}; this one has {ours}. The processes of one node "
        "have the same database_url; another node needs another data_dir."
    )


def _works_here(data_dir: Path) -> AlreadyRunning:
    return AlreadyRunning(f"Another mammo-node works in {data_dir}: stop it, or set another data_dir.")


def _without_who(database_url: str) -> str:
    """A database's URL without its user and password."""
    whole = make_url(database_url)
    return URL.create(whole.drivername, None, None, whole.host, whole.port, whole.database).render_as_string()


@contextmanager
def _opened(data_dir: Path) -> Iterator[IO[str]]:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # patients' data: for the node's own user
    except OSError as error:
        raise _unusable(data_dir, error) from error
    with _file(data_dir, LOCK) as file:
        yield file


@contextmanager
def _file(data_dir: Path, name: Path) -> Iterator[IO[str]]:
    try:
        file = (data_dir / name).open("a+", encoding="utf-8")
    except OSError as error:
        raise _unusable(data_dir, error) from error
    with file:
        yield file


def _unusable(data_dir: Path, error: OSError) -> DataFolderUnusable:
    return DataFolderUnusable(
        f"data_dir {data_dir} cannot be used: {error.strerror}. It must be a folder that the node may write in."
    )


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _keep_private(data_dir: Path) -> None:
    for entry in data_dir.iterdir():
        with suppress(FileNotFoundError):  # a file of SQLite that has gone meanwhile
            if entry.stat().st_uid == data_dir.stat().st_uid and not entry.is_symlink():
                entry.chmod(0o700 if entry.is_dir() else 0o600)
