"""Locks that the processes of a node share, on several machines too.

With PostgreSQL they are advisory locks of a session (advisory.py): the server gives them up when the connection of
their holder ends, so that a process that was killed holds none. With SQLite each part of a node runs in one process
(node/archive/lock.py), and every lock is had at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Engine, false, func, select, text, true
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoTurn

from node.store.advisory import key_of
from node.store.database import BUSY_S, Sessions

TICKS = "ticks"
"""Of who does what is done from time to time."""
_LOOK_EVERY_S = 0.02
_KEEPALIVE = ("SET tcp_keepalives_idle = 10", "SET tcp_keepalives_interval = 5", "SET tcp_keepalives_count = 3")
"""The server notices within half a minute that the machine of a holder has lost its power or its network."""


@dataclass
class Locks:
    """The locks of this process. Thread-safe; a lock belongs to the process, and not to a thread of it."""

    sessions: Sessions
    name: str = ""
    """Of this process: the database shows it to whoever asks who is connected (application_name)."""
    _turn: threading.RLock = field(default_factory=threading.RLock, init=False)
    _connection: Connection | None = field(default=None, init=False)
    _held: set[str] = field(default_factory=set, init=False)

    @property
    def are_shared(self) -> bool:
        """Whether other processes may hold them: the queue is in PostgreSQL."""
        return _engine(self.sessions).dialect.name == "postgresql"

    def take(self, name: str) -> bool:
        """Takes a lock, unless another process holds it; True: this process holds it now, or held it already.

        Asks the database each time: whoever lost its connection lost its locks, and learns it here. So does whose
        server only reads now: another may be the primary, and give the same locks to others.

        Raises:
            DBAPIError, NoTurn: the database does not answer, or only reads.
        """
        if not self.are_shared:
            return True
        with self._in_turn():
            if name in self._held:
                return self._ask(true())  # raises where the connection is lost
            got = self._ask(func.pg_try_advisory_lock(key_of(name)))
            if got:
                self._held.add(name)
            return got

    def share(self, name: str) -> bool:
        """Takes a lock together with other processes, until this one ends or loses its connection; False: somebody has
        it alone.

        Raises:
            DBAPIError, NoTurn: the database does not answer, or only reads.
        """
        if not self.are_shared:
            return True
        with self._in_turn():
            return self._ask(func.pg_try_advisory_lock_shared(key_of(name)))

    def still_held(self, name: str) -> bool:
        """Whether this process holds the lock; where the database does not answer, it does not."""
        try:
            return self.take(name)
        except (DBAPIError, NoTurn):
            return False

    def never_lost(self, name: str) -> bool:
        """Whether this process has held the lock ever since it took it. After a lost connection it has not, also where
        the lock is free again: another process may have held it meanwhile."""
        if not self.are_shared:
            return True
        with self._in_turn():
            return name in self._held and self.still_held(name)

    def give_back(self, name: str) -> None:
        """Gives up a lock, if this process holds it."""
        with self._turn:
            if name in self._held:
                self._held.discard(name)
                with suppress(DBAPIError):  # a lost connection has given it up
                    self._ask(func.pg_advisory_unlock(key_of(name)))

    def is_free(self, name: str) -> bool:
        """Whether no process holds the lock, also not this one."""
        with self._in_turn():
            if name in self._held or not self.take(name):
                return False
            self.give_back(name)
            return True

    @contextmanager
    def holding(self, name: str, patience_s: float = BUSY_S) -> Iterator[None]:
        """Waits for a lock, and holds it for the block.

        Raises:
            NoTurn: another process holds it for longer than `patience_s`.
        """
        until = time.monotonic() + patience_s
        while not self.take(name):
            if time.monotonic() > until:
                raise NoTurn("another process of the node holds a lock")
            time.sleep(_LOOK_EVERY_S)
        try:
            yield
        finally:
            self.give_back(name)

    def close(self) -> None:
        """Gives up all locks."""
        with self._turn:
            connection, self._connection = self._connection, None
            self._held.clear()
            if connection is not None:
                connection.close()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One thread asks at a time. While the database hangs, the others are not kept for longer than it would be."""
        if not self._turn.acquire(timeout=BUSY_S):
            raise NoTurn("the database does not answer another thread")
        try:
            yield
        finally:
            self._turn.release()

    def _ask(self, question: ColumnElement[bool]) -> bool:
        """The answer. Where it raises, no lock is held any more.

        Raises:
            DBAPIError: the database does not answer.
            NoTurn: the server only reads.
        """
        try:
            if self._connection is None:
                self._connection = _connected(_engine(self.sessions), self.name)
            asked = select(question, func.current_setting("transaction_read_only"))
            answer, only_reads = self._connection.execute(asked).one()
        except DBAPIError:
            self.close()
            raise
        if only_reads == "on":
            self.close()
            raise NoTurn("the database only reads")
        return bool(answer)


def _connected(engine: Engine, name: str) -> Connection:
    """A connection of its own, outside the pool."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.detach()
    for setting in _KEEPALIVE:
        connection.execute(text(setting))
    connection.execute(select(func.set_config("application_name", name, false())))
    return connection


def _engine(sessions: Sessions) -> Engine:
    engine: Engine = sessions.kw["bind"]
    return engine
