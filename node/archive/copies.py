"""Copies received instances to the far side of the archive, behind receiving."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from node.archive.digests import ArchivedFile
from node.archive.far_side import FarSide, FarSideFailed
from node.store.changes import ChangeWatch
from node.store.database import Sessions, read_only
from node.store.faults import describe_fault
from node.store.tables import Instance

log = logging.getLogger(__name__)

AT_ONCE = 20
STAND_BY_S = 1.0
LONGEST_WAIT_S = 600.0
_UNCOPIED = (Instance.copied_at.is_(None), Instance.purged_at.is_(None))


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
    _lost: set[str] = field(default_factory=set, init=False)
    """Paths of files that are gone, as the log said once; each is looked for again each time."""
    _unreadable: dict[str, float] = field(default_factory=dict, init=False)
    """Paths of files that cannot be read, or are not as they were received, and when each is tried again."""

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
        self._lost = {path for path in self._lost if not (self.data_dir / path).exists()}
        self._unreadable = {path: until for path, until in self._unreadable.items() if self.now() < until}
        aside = self._lost | self._unreadable.keys()
        waiting = select(Instance.id, Instance.path, Instance.sha256).where(*_UNCOPIED, Instance.path.not_in(aside))
        with read_only(self.sessions) as session:
            found = session.execute(waiting.order_by(Instance.id).limit(AT_ONCE)).all()
        for tried, (number, path, sha256) in enumerate(found):
            if stop is not None and stop.is_set():
                return tried
            try:
                if not ArchivedFile(self.data_dir / path, sha256).is_intact:
                    log.error(
                        "instance %d: its file was changed since it came, and was not copied to the far side",
                        number,
                    )
                    self._unreadable[path] = self.now() + LONGEST_WAIT_S
                    continue
                self.far.put(self.data_dir / path, path)
            except FileNotFoundError:
                log.warning("instance %d: its file is gone, and was not copied to the far side", number)
                self._lost.add(path)
                continue
            except OSError as fault:
                log.error(
                    "instance %d: its file cannot be read, and was not copied to the far side: %s",
                    number,
                    describe_fault(fault),
                )
                self._unreadable[path] = self.now() + LONGEST_WAIT_S
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
