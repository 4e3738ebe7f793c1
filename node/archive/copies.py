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
AWAY = 3
"""So many different files that fail, and none that is taken between them, mean that the far side is away."""
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
    _failed: dict[str, _Again] = field(default_factory=dict, init=False)
    """By path: files that cannot be read, are not as they were received, or that the far side did not take."""
    _in_a_row: set[str] = field(default_factory=set, init=False)
    """Paths of files that the far side did not take since it took one."""

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
        """Copies the next AT_ONCE, and those that failed and are due again; returns how many were tried. One that the
        far side does not take is tried again later, and delays no other.

        Raises:
            FarSideFailed: AWAY different ones failed since one was copied: the far side is away.
        """
        self._lost = {path for path in self._lost if not (self.data_dir / path).exists()}
        found = self._next()
        for tried, (number, path, sha256) in enumerate(found):
            if stop is not None and stop.is_set():
                return tried
            try:
                if not ArchivedFile(self.data_dir / path, sha256).is_intact:
                    log.error(
                        "instance %d: its file was changed since it came, and was not copied to the far side",
                        number,
                    )
                    self._failed[path] = _Again(self.now() + LONGEST_WAIT_S, LONGEST_WAIT_S)
                    continue
                self.far.put(self.data_dir / path, path)
            except FileNotFoundError:
                log.warning("instance %d: its file is gone, and was not copied to the far side", number)
                self._lost.add(path)
                continue
            except FarSideFailed as error:
                self._failed[path] = self._failed.get(path, _NOW).later(self.now())
                self._in_a_row.add(path)
                if len(self._in_a_row) >= AWAY:
                    raise
                log.error(
                    "instance %d: the far side did not take its file, and others are copied: %s",
                    number,
                    error,
                )
                continue
            except OSError as fault:
                log.error(
                    "instance %d: its file cannot be read, and was not copied to the far side: %s",
                    number,
                    describe_fault(fault),
                )
                self._failed[path] = _Again(self.now() + LONGEST_WAIT_S, LONGEST_WAIT_S)
                continue
            self._failed.pop(path, None)
            self._in_a_row.clear()
            with self.sessions.begin() as session:
                # Unless it was corrected meanwhile: the file of the new header has another path.
                mine = update(Instance).where(Instance.id == number, Instance.path == path)
                session.execute(mine.values(copied_at=self.now()))
        return len(found)

    def _next(self) -> list[tuple[int, str, str | None]]:
        """Those that were not tried, the oldest first, then those that failed and are due again: what never succeeds
        stands before none."""
        waiting = select(Instance.id, Instance.path, Instance.sha256).where(*_UNCOPIED).order_by(Instance.id)
        due = [path for path, again in self._failed.items() if again.at <= self.now()][:AT_ONCE]
        with read_only(self.sessions) as session:
            new = waiting.where(Instance.path.not_in(self._lost | self._failed.keys())).limit(AT_ONCE)
            found = [(number, path, sha256) for number, path, sha256 in session.execute(new)]
            failed = session.execute(waiting.where(Instance.path.in_(due)))
            again = [(number, path, sha256) for number, path, sha256 in failed]
        for path in set(due) - {path for _, path, _ in again}:  # purged, or its header was corrected
            del self._failed[path]
        return found + again


@dataclass(frozen=True)
class _Again:
    """When a file is tried again (UTC seconds since the epoch), and how long that was to wait."""

    at: float
    wait_s: float

    def later(self, now: float) -> _Again:
        wait_s = min(LONGEST_WAIT_S, max(1.0, 2 * self.wait_s))
        return _Again(now + wait_s, wait_s)


_NOW = _Again(0.0, 0.0)


def not_copied(session: Session) -> tuple[int, float | None]:
    """How many instances wait to be copied, and since when (UTC seconds since the epoch)."""
    waiting = select(func.count(), func.min(Instance.received_at)).where(*_UNCOPIED)
    count, since = session.execute(waiting).one()
    return count, since


def longest_waiting(session: Session) -> list[tuple[int, int]]:
    """The studies and instances that wait longest to be copied: three at most."""
    waiting = select(Instance.study_id, Instance.id).where(*_UNCOPIED).order_by(Instance.received_at, Instance.id)
    return [(study, instance) for study, instance in session.execute(waiting.limit(3))]
