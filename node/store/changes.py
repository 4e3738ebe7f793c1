"""Waiting for work without asking the tables: until somebody commits, or a row's time has come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from node.store.database import Sessions, reading_connection

LOOK_EVERY_S = 0.2
"""How soon a commit is noticed."""
SLOWLY_S = 10.0
"""After so long work is looked for in any case."""


class ChangeWatch:
    """Notices that another connection has committed to the database, of this process or of another program.

    SQLite counts these commits for each connection (sqlite.org/pragma.html, data_version): a look costs no query of a
    table and takes no lock. With another database each look counts as a change, so that it is polled.

    To be made before work is looked for the first time: whatever is committed later ends the next wait.

    Args:
        now: UTC seconds since the epoch.
    """

    def __init__(self, sessions: Sessions, now: Callable[[], float]) -> None:
        self._connection = reading_connection(sessions)
        self._now = now
        self._version = self._look()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def wait(self, stop: threading.Event, due: float | None) -> None:
        """Returns when somebody has committed since the last wait ended, at the time `due`, after SLOWLY_S, or when
        `stop` is set."""
        for _ in range(round(SLOWLY_S / LOOK_EVERY_S)):
            if stop.wait(LOOK_EVERY_S) or self._changed() or (due is not None and due <= self._now()):
                return

    def _changed(self) -> bool:
        before, self._version = self._version, self._look()
        return self._version is None or self._version != before

    def _look(self) -> int | None:
        if self._connection.dialect.name != "sqlite":
            return None
        version: int = self._connection.exec_driver_sql("PRAGMA data_version").scalar_one()
        self._connection.rollback()
        return version
