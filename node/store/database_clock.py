"""The time of a node whose queue is in PostgreSQL: the database's, for all its processes on all machines.

With clocks of their own a machine that is ahead would take the leases of others for run out, and close studies whose
images still come.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Engine, extract, func, select

from node.store.clock import TOLERANCE_S
from node.store.database import Sessions, read_only
from node.store.faults import RAISED_AS, is_passing

log = logging.getLogger(__name__)

ASK_EVERY_S = 5.0
_SOON_S = 0.5
"""An answer that takes longer says too little about the time."""
_TRIES = 5


class NodeClock(Protocol):
    """UTC seconds since the epoch, the same in all processes of a node."""

    def __call__(self) -> float: ...

    def follow(self, stop: threading.Event) -> None:
        """Keeps it right until `stop` is set."""


class DatabaseClock:
    """The database's time, carried on by a steady clock of this machine: its wall clock does not matter, and while the
    database is away time goes on.

    Args:
        steady: seconds on a clock that nobody sets.

    Raises:
        SQLAlchemyError: the database does not answer.
    """

    def __init__(self, sessions: Sessions, steady: Callable[[], float]) -> None:
        self._sessions = sessions
        self._steady = steady
        self._ahead, self._within = min((self._ask() for _ in range(_TRIES)), key=lambda asked: asked[1])

    def __call__(self) -> float:
        return self._steady() + self._ahead

    def follow(self, stop: threading.Event) -> None:
        """Asks the database again and again until `stop` is set: clocks drift and are set, and a failover leads to
        another one."""
        while not stop.wait(ASK_EVERY_S):
            try:
                self.ask_again()
            except RAISED_AS as fault:
                if not is_passing(fault):
                    raise

    def ask_again(self) -> None:
        """Follows the database's clock where it certainly differs."""
        ahead, within = self._ask()
        moved = ahead - self._ahead
        if within > _SOON_S or abs(moved) <= within:
            return
        if abs(moved) >= TOLERANCE_S:
            log.warning("the database's clock was set by %+.0f s", moved)
        self._ahead = ahead

    def _ask(self) -> tuple[float, float]:
        """By how much the database's clock is ahead of the steady one, and how exact that is; seconds."""
        with read_only(self._sessions) as session:
            session.connection()  # which may take its time
            before = self._steady()
            its = float(session.scalars(select(extract("epoch", func.clock_timestamp()))).one())
            after = self._steady()
        return its - (before + after) / 2, (after - before) / 2


class OwnClock:
    """This machine's clock: with SQLite all processes of a node are on one machine."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall

    def __call__(self) -> float:
        return self._wall()

    def follow(self, stop: threading.Event) -> None:
        """Nothing is to be done."""
        stop.wait()


def node_clock(sessions: Sessions, wall: Callable[[], float], steady: Callable[[], float]) -> NodeClock:
    """The clock of a node.

    Args:
        wall: UTC seconds since the epoch, by this machine's clock.
        steady: seconds on a clock of this machine that nobody sets.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    engine: Engine = sessions.kw["bind"]
    if engine.dialect.name != "postgresql":
        return OwnClock(wall)
    clock = DatabaseClock(sessions, steady)
    if abs(ahead := wall() - clock()) >= TOLERANCE_S:
        log.warning("this machine's clock is %+.0f s from the database's, by which the node goes", ahead)
    return clock
