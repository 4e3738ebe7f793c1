"""Brings received instances back from the far side of the archive.

A copy is fetched into a folder of its own. It gets its place in the archive under the lock of its study's row, which
who deletes and who receives hold too, and only if the row still names that place and nothing is there: an instance
that came again meanwhile is never overwritten. No path is used twice (node/archive/versions.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from dicom_io.durable import make_folder, sync_folder
from models.errors import UserError
from models.types.words import counted
from node.archive.digests import ArchivedFile
from node.archive.far_side import FarSide, NotThere
from node.archive.layout import FETCHING
from node.archive.lock import AlreadyRunning, only_one
from node.audit.actors import Actor
from node.operations.acts import Act, Deed, note
from node.store.database import Sessions, read_only
from node.store.tables import DoomedFile, Instance, Study

_AT_ONCE = 1000


class NoSuchStudy(UserError):
    """The queue has no study of this number."""


class DamagedCopy(UserError):
    """A copy is not what was received."""


def recall(sessions: Sessions, data_dir: Path, far: FarSide, study_id: int, by: Actor, now: float) -> int:
    """Brings back the received files of a study that retention deleted, from their copies: all of them, or none if it
    fails or is killed; returns their number. They are kept from `now` (UTC seconds since the epoch) on as those of a
    study that came today.

    Args:
        by: who wants it.

    Raises:
        FarSideFailed, NotThere, DamagedCopy
        NoSuchStudy
        AlreadyRunning: another process fetches.
    """
    purged = Instance.study_id == study_id, Instance.purged_at.is_not(None), Instance.copied_at.is_not(None)
    with read_only(sessions) as session:
        if session.get(Study, study_id) is None:
            raise NoSuchStudy(f"There is no study {study_id}: `mammo-node status` shows their numbers.")
        columns = Instance.id, Instance.path, Instance.sha256
        rows = session.execute(select(*columns).where(*purged).order_by(Instance.id)).all()
    wanted = [(number, path) for number, path, _ in rows]
    if not wanted:
        return 0
    with _fetching(data_dir) as folder:
        for number, path, sha256 in rows:
            far.get(path, folder / str(number))
            if not ArchivedFile(folder / str(number), sha256).is_intact:
                raise DamagedCopy(f"The copy of instance {number} is not what was received: nothing is brought back.")
        came = None
        while came is None:
            _name(sessions, study_id, [path for _, path in wanted])
            came = _put_back(sessions, data_dir, folder, study_id, wanted, by, now)
    return came


def _name(sessions: Sessions, study_id: int, paths: Sequence[str]) -> None:
    """Names files as those of a purge, which deletes them if this process is killed between the files and the rows."""
    with sessions.begin() as session:
        session.get_one(Study, study_id, with_for_update=True)
        session.add_all(DoomedFile(study_id=study_id, path=path) for path in paths)


def _put_back(
    sessions: Sessions,
    data_dir: Path,
    folder: Path,
    study_id: int,
    wanted: Sequence[tuple[int, str]],
    by: Actor,
    now: float,
) -> int | None:
    """Moves the fetched files of a study to their places, and says in the rows that they are there; returns their
    number, or None if a purge took the names away first."""
    with sessions.begin() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        named = set(session.scalars(select(DoomedFile.path).where(DoomedFile.study_id == study_id)))
        if not named.issuperset(path for _, path in wanted):
            return None
        came = []
        for number, path in wanted:
            instance = session.get_one(Instance, number)
            if instance.purged_at is not None and instance.path == path:  # else it came again meanwhile
                _place(folder / str(number), data_dir / path)
                instance.purged_at = None
                came.append(path)
        if came:
            session.execute(delete(DoomedFile).where(DoomedFile.study_id == study_id, DoomedFile.path.in_(came)))
            study.images_purged_at = None
            study.last_received_at = now
            note(session, Act(Deed.BROUGHT_BACK, by, study_id, counted(len(came), "file")), now)
    return len(came)


def fetch_missing(sessions: Sessions, data_dir: Path, far: FarSide) -> Iterator[tuple[int, bool]]:
    """Brings back the files of copied instances that are not in the data folder, but of those that retention
    deleted; yields each instance's row number, and whether its copy was there, and is what was received.

    Raises:
        FarSideFailed
        AlreadyRunning: another process fetches.
    """
    with _fetching(data_dir) as folder:
        for number, study_id, path, sha256 in _copied(sessions):
            if (data_dir / path).exists():
                continue
            fetched = folder / str(number)
            try:
                far.get(path, fetched)
            except NotThere:
                yield number, False
                continue
            if not ArchivedFile(fetched, sha256).is_intact:
                fetched.unlink()
                yield number, False
                continue
            with sessions.begin() as session:
                if _is_wanted(session, study_id, number, path):
                    _place(fetched, data_dir / path)
            fetched.unlink(missing_ok=True)
            yield number, True


def _copied(sessions: Sessions) -> Iterator[tuple[int, int, str, str | None]]:
    """The copied instances that are not purged: id, study, path and SHA-256. No transaction is open while they are
    fetched, which may take days: PostgreSQL could remove no old rows meanwhile, and SQLite's write-ahead log would
    grow."""
    here = Instance.copied_at.is_not(None), Instance.purged_at.is_(None)
    copied = select(Instance.id, Instance.study_id, Instance.path, Instance.sha256).where(*here).order_by(Instance.id)
    after = 0
    while True:
        with read_only(sessions) as session:
            some = session.execute(copied.where(Instance.id > after).limit(_AT_ONCE)).all()
        if not some:
            return
        yield from some
        after = some[-1][0]


def _is_wanted(session: Session, study_id: int, number: int, path: str) -> bool:
    """Whether the instance is not purged, and did not come again, meanwhile. Locks its study's row."""
    session.get_one(Study, study_id, with_for_update=True)
    instance = session.get_one(Instance, number)
    return instance.purged_at is None and instance.path == path


def remove_unfinished_fetch(data_dir: Path) -> None:
    """Deletes what a killed `archive fetch` left, unless another one runs."""
    with suppress(AlreadyRunning), _fetching(data_dir):
        pass


@contextmanager
def _fetching(data_dir: Path) -> Iterator[Path]:
    """An empty folder for copies on their way, for this process alone; it is deleted afterwards."""
    folder = data_dir / FETCHING
    with only_one(data_dir, "fetch"):
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _place(fetched: Path, target: Path) -> None:
    """Moves a durable file to its place, durably, unless a file is there."""
    if target.exists():
        return
    make_folder(target.parent, mode=0o700)
    fetched.rename(target)
    sync_folder(target.parent)
