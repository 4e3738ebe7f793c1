"""Copies received instances to the far side of the archive, behind receiving, and brings them back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.errors import UserError
from models.types.words import counted
from node.archive.far_side import FarSide, FarSideFailed, NotThere
from node.audit.actors import Actor
from node.operations.acts import Act, Deed, note
from node.store.changes import ChangeWatch
from node.store.database import Sessions, read_only
from node.store.tables import Instance, Study

log = logging.getLogger(__name__)

AT_ONCE = 20
STAND_BY_S = 1.0
LONGEST_WAIT_S = 600.0
_UNCOPIED = (Instance.copied_at.is_(None), Instance.purged_at.is_(None))


class NoSuchStudy(UserError):
    """The queue has no study of this number."""


@dataclass
class Copier:
    """Copies what is not copied yet, the oldest first.

    Attributes:
        now: UTC seconds since the epoch.
        alone: whether no other process of the node copies.
    """

    far: FarSide
    sessions: Sessions
    data_dir: Path
    now: Callable[[], float]
    alone: Callable[[], bool] = lambda: True
    _lost: set[int] = field(default_factory=set, init=False)
    """Instances whose file is gone, as the log said once."""

    def run(self, stop: threading.Event) -> None:
        """Copies until `stop` is set. While the far side fails, it waits twice as long each time."""
        wait_s = 1.0
        with ChangeWatch(self.sessions, self.now) as changes:
            while not stop.is_set():
                if not self.alone():
                    stop.wait(STAND_BY_S)
                    continue
                try:
                    copied = self.copy_some(stop)
                except FarSideFailed as error:
                    log.error("instances are not copied to the far side, and wait: %s", error)
                    stop.wait(wait_s)
                    wait_s = min(LONGEST_WAIT_S, 2 * wait_s)
                    continue
                wait_s = 1.0
                if not copied:
                    changes.wait(stop, None)

    def copy_some(self, stop: threading.Event | None = None) -> int:
        """Copies the next AT_ONCE; returns how many were tried.

        Raises:
            FarSideFailed
        """
        waiting = select(Instance.id, Instance.path).where(*_UNCOPIED, Instance.id.not_in(self._lost))
        with read_only(self.sessions) as session:
            found = session.execute(waiting.order_by(Instance.id).limit(AT_ONCE)).all()
        for tried, (number, path) in enumerate(found):
            if stop is not None and stop.is_set():
                return tried
            try:
                self.far.put(self.data_dir / path, path)
            except FileNotFoundError:
                log.warning("instance %d: its file is gone, and was not copied to the far side", number)
                self._lost.add(number)
                continue
            with self.sessions.begin() as session:
                # Unless it was corrected meanwhile: the file of the new header has another path.
                mine = update(Instance).where(Instance.id == number, Instance.path == path)
                session.execute(mine.values(copied_at=self.now()))
        return len(found)


def not_copied(session: Session) -> tuple[int, float | None]:
    """How many instances wait to be copied, and since when (UTC seconds since the epoch)."""
    waiting = select(func.count(), func.min(Instance.received_at)).where(*_UNCOPIED)
    count, since = session.execute(waiting).one()
    return count, since


def recall(sessions: Sessions, data_dir: Path, far: FarSide, study_id: int, by: Actor, now: float) -> int:
    """Brings back the received files of a study that retention deleted, from their copies; returns their number. They
    are kept from `now` (UTC seconds since the epoch) on as those of a study that came today.

    Args:
        by: who wants it.

    Raises:
        FarSideFailed, NotThere
        NoSuchStudy
    """
    purged = Instance.study_id == study_id, Instance.purged_at.is_not(None), Instance.copied_at.is_not(None)
    with read_only(sessions) as session:
        if session.get(Study, study_id) is None:
            raise NoSuchStudy(f"There is no study {study_id}: `mammo-node status` shows their numbers.")
        found = session.execute(select(Instance.id, Instance.path).where(*purged).order_by(Instance.id)).all()
    for _, path in found:
        _fetch(far, path, data_dir)
    with sessions.begin() as session:
        # Who deletes and who receives hold this row too (node/retention/deleting.py).
        study = session.get_one(Study, study_id, with_for_update=True)
        came = [number for number, path in found if _is_here_again(session.get_one(Instance, number), path, data_dir)]
        if came:
            study.images_purged_at = None
            study.last_received_at = now
            note(session, Act(Deed.BROUGHT_BACK, by, study_id, counted(len(came), "file")), now)
    return len(came)


def _is_here_again(instance: Instance, path: str, data_dir: Path) -> bool:
    """Says so in the row, unless the instance came again meanwhile, or its file was deleted again."""
    is_here = instance.path == path and instance.purged_at is not None and (data_dir / path).exists()
    if is_here:
        instance.purged_at = None
    return is_here


def _fetch(far: FarSide, path: str, data_dir: Path) -> None:
    target = data_dir / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    far.get(path, target)


def fetch_missing(sessions: Sessions, data_dir: Path, far: FarSide) -> Iterator[tuple[int, bool]]:
    """Brings back the files of copied instances that are not in the data folder, but of those that retention
    deleted; yields each instance's row number, and whether its copy was there.

    Raises:
        FarSideFailed
    """
    copied = select(Instance.id, Instance.path).where(Instance.copied_at.is_not(None), Instance.purged_at.is_(None))
    with read_only(sessions) as session:
        for number, path in session.execute(copied.order_by(Instance.id).execution_options(yield_per=1000)):
            if (data_dir / path).exists():
                continue
            try:
                _fetch(far, path, data_dir)
            except NotThere:
                yield number, False
            else:
                yield number, True
