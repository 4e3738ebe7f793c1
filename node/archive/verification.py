"""Compares every received file that is kept with its digest, and finds files that the database does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import func, select, update

from dicom_io.audit.codes import OBJECT_ATTRIBUTES_CHANGED
from node.archive.digests import digest_of
from node.archive.layout import ARCHIVE
from node.audit.actors import Actor
from node.audit.security_events import enter_alert
from node.store.database import Sessions, read_only
from node.store.faults import describe_fault
from node.store.tables import Instance

_AT_ONCE = 500
_ARRIVES_S = 600.0


class Fault(StrEnum):
    """What is wrong with a received file."""

    CHANGED = "changed or damaged since it was received"
    GONE = "gone"
    UNREADABLE = "cannot be read"


@dataclass(frozen=True)
class Verified:
    """An instance's file, as it was found. `fault`: None if there is none; `why`: of a file that cannot be read;
    `known`: whether its digest was known."""

    instance: int
    study: int
    path: str
    known: bool
    fault: Fault | None = None
    why: str = ""


def kept(sessions: Sessions) -> int:
    """How many instances have a file in the archive."""
    with read_only(sessions) as session:
        return session.scalar(select(func.count()).where(Instance.purged_at.is_(None))) or 0


def verify(sessions: Sessions, data_dir: Path, *, complete: bool = False) -> Iterator[Verified]:
    """Reads every received file that is kept, and compares it with its digest.

    Args:
        complete: enters the digest of a file that has none.
    """
    last = 0
    columns = Instance.id, Instance.study_id, Instance.path, Instance.sha256
    while True:
        with read_only(sessions) as session:
            query = select(*columns).where(Instance.id > last, Instance.purged_at.is_(None)).order_by(Instance.id)
            rows = session.execute(query.limit(_AT_ONCE)).all()
        if not rows:
            return
        for number, study, path, known in rows:
            last = number
            found = Verified(number, study, path, known is not None)
            try:
                digest = digest_of(data_dir / path)
            except FileNotFoundError:
                if _is_still(sessions, number, path):
                    yield Verified(number, study, path, found.known, Fault.GONE)
                continue
            except OSError as fault:
                yield Verified(number, study, path, found.known, Fault.UNREADABLE, describe_fault(fault))
                continue
            if known is None and complete:
                with sessions.begin() as session:
                    mine = Instance.id == number, Instance.path == path, Instance.sha256.is_(None)
                    session.execute(update(Instance).where(*mine).values(sha256=digest))
            elif known is not None and digest != known:
                yield Verified(number, study, path, found.known, Fault.CHANGED)
                continue
            yield found


def _is_still(sessions: Sessions, number: int, path: str) -> bool:
    """Whether the row still says that a file is there: retention may have deleted it, or it came again, meanwhile."""
    with read_only(sessions) as session:
        row = session.get(Instance, number)
        return row is not None and row.purged_at is None and row.path == path


def without_row(sessions: Sessions, data_dir: Path, now: float) -> Iterator[Path]:
    """Files of the archive, relative to the data folder, of whose instance the database knows nothing: it is an older
    one, restored or taken over, or a process was killed before it answered the sender.

    Args:
        now: UTC seconds since the epoch; files of the last ten minutes may be on their way into the database.
    """
    with read_only(sessions) as session:
        known = set(session.scalars(select(Instance.sop_instance_uid)))
    for path in sorted((data_dir / ARCHIVE).glob("*/*.dcm")):
        with suppress(FileNotFoundError):  # retention deletes meanwhile
            if path.stem.partition("_")[0] not in known and now - path.stat().st_mtime > _ARRIVES_S:
                yield path.relative_to(data_dir)


def enter_damage(sessions: Sessions, damaged: int, of: int, archive: Path, by: Actor, now: Callable[[], float]) -> None:
    """Enters into the audit trail that stored files are not as they were received."""
    with sessions.begin() as session:
        says = f"{damaged} of {of} stored instances are not as they were received"
        enter_alert(session, OBJECT_ATTRIBUTES_CHANGED, archive.as_uri(), says, now(), by=by, is_serious=True)
