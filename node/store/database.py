"""The engine, its sessions and the migrations: SQLite by default, PostgreSQL by the URL."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoTurn
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from models.errors import UserError
from node.store.advisory import lock_in_transaction, processes_at_work
from node.store.sqlstates import Meaning, meaning_of, sqlstate_of

_OF_CONNECTIONS = {
    "connect_timeout": 10,
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "target_session_attrs": "read-write",
}
"""Of libpq: seconds, but tcp_user_timeout in milliseconds."""
BUSY_S = 30.0
"""How long a transaction waits for another program's; a thread waits this long including its turn."""
_READ_ONLY = "mammo_node_read_only"
_WAITS_S = "mammo_node_waits_s"
_MIGRATIONS = Path(__file__).with_name("migrations")

Sessions = sessionmaker[Session]
"""Opens a transaction: `with sessions.begin() as session: …` commits at the end or rolls back."""


class QueueUnusable(UserError):
    """The queue cannot be used; the message says why, and what to do."""


class NotServedYet(QueueUnusable):
    """The queue does not exist or is of an older version; `mammo-node serve` creates or migrates it when it starts."""


def open_database(url: str) -> Engine:
    """The engine for `url`, its schema brought up to date: for the node itself.

    Raises:
        QueueUnusable: the URL names no database that can be had, or one of a newer mammo-node.
    """
    engine = engine_for(url)
    if not _is_current(engine):
        migrate(engine)
    return engine


def migrate_alone(url: str) -> None:
    """Makes a queue in SQLite, or brings it up to date: while no other process works in its folder. One in PostgreSQL
    is brought up to date where it is opened, and knows itself who works on it."""
    if make_url(url).get_backend_name() == "sqlite":
        open_database(url).dispose()


def must_be_migrated(url: str) -> None:
    """Raises QueueUnusable where a queue in SQLite has an older schema: `migrate_alone` could not be called, since
    another process works in the folder."""
    if make_url(url).get_backend_name() == "sqlite":
        engine = engine_for(url)
        must_be_current(engine)
        engine.dispose()


def must_be_current(engine: Engine) -> None:
    """Raises QueueUnusable unless the queue has this version's schema."""
    if not _is_current(engine):
        raise QueueUnusable(
            f"The queue {engine.url.render_as_string()} was last used by an older mammo-node, of which other processes "
            "still run: stop all processes of the node, then start them with this version."
        )


def open_existing(url: str) -> Engine:
    """The engine for the existing queue of a node, for commands: it is not migrated, and a command that writes waits 5
    s for the lock.

    Raises:
        QueueUnusable: there is none yet, it has the schema of another version, or it cannot be had.
    """
    engine = engine_for(url, busy_timeout_s=5)
    where = engine.url.render_as_string()
    if engine.dialect.name == "sqlite" and not _is_there(Path(engine.url.database or "")):
        raise NotServedYet(f"There is no queue at {engine.url.database} yet: `mammo-node serve` makes it.")
    if not _is_current(engine):
        raise NotServedYet(
            f"The queue {where} was last used by an older mammo-node: `mammo-node serve` brings it up to date."
        )
    return engine


def open_queue(url: str) -> Sessions:
    """Sessions of the queue of a node that has run; see `open_existing`."""
    return sessions_of(open_existing(url))


def engine_for(url: str, busy_timeout_s: float = BUSY_S, answer_s: float = BUSY_S) -> Engine:
    """The engine for `url`, whatever its schema.

    SQLite runs in WAL mode with synchronous=FULL, so that a committed row survives a power cut. Every
    transaction but those of `read_only` begins IMMEDIATE, so that none that writes later has a stale snapshot.

    Args:
        busy_timeout_s: how long a transaction waits for another that writes (SQLite).
        answer_s: how long PostgreSQL is waited for, also for a lock that another transaction holds; then its connection
            is closed, and the statement fails as if the server were away.

    Raises:
        QueueUnusable: the URL is none, or its driver is not installed.
    """
    try:
        # An error that quoted its row would name the patient.
        engine = create_engine(url, hide_parameters=True, connect_args=_connect_args(url))
    except (ArgumentError, ModuleNotFoundError) as error:
        raise QueueUnusable(
            f"database_url cannot be used: {error}. Leave it out for SQLite in data_dir, or install the driver."
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", partial(_set_up_sqlite, busy_timeout_s))
        event.listen(engine, "begin", partial(_begin_sqlite, busy_timeout_s))
    else:
        event.listen(engine, "handle_error", _drop_useless_connections)
        event.listen(engine, "do_connect", partial(_connect_bounded, answer_s))
    return engine


def _connect_bounded(
    answer_s: float, _: Dialect, __: ConnectionPoolEntry, arguments: tuple[str, ...], options: dict[str, Any]
) -> object:
    from node.store.bounded_connection import BoundedConnection  # psycopg is there for PostgreSQL alone

    connection = BoundedConnection.connect(*arguments, **options)
    connection.answer_s = answer_s
    return connection


def _drop_useless_connections(context: ExceptionContext) -> None:
    """After such an error the connections of the pool are closed: new ones find the server that writes now."""
    sqlstate = sqlstate_of(context.original_exception)
    if sqlstate is not None and meaning_of(sqlstate) is Meaning.CONNECT_AGAIN:
        context.is_disconnect = True


def _connect_args(url: str) -> dict[str, object]:
    """How a connection to PostgreSQL ends when the host is silent, unless the URL says so itself; and no server is
    taken that only reads: a standby gives advisory locks of its own (postgresql.org/docs/15, section 34.1.2)."""
    parsed = make_url(url)
    if parsed.drivername != "postgresql+psycopg":
        return {}
    return {name: value for name, value in _OF_CONNECTIONS.items() if name not in parsed.query}


def sessions_of(engine: Engine) -> Sessions:
    """Sessions whose objects stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


def held_by(url: str) -> int | None:
    """The id of the process that is writing to a SQLite queue at this moment, 0 where that is in another container and
    has no id here; None: nobody is. Asks the kernel and takes no lock (sqlite.org/walformat.html, section 2.3.2).

    Only for a process that has not opened the queue: closing the file gives up whatever POSIX locks the process holds.
    """
    parsed = make_url(url)
    shared_memory = Path(f"{parsed.database}-shm")
    if parsed.get_backend_name() != "sqlite":
        return None
    write_lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 120, 1, 0)
    try:
        with shared_memory.open("rb") as file:
            kind, _, _, _, process = struct.unpack("hhqqi", fcntl.fcntl(file, fcntl.F_GETLK, write_lock)[:28])
    except OSError:  # not there, or not for this user: opening the queue tells which
        return None
    return None if kind == fcntl.F_UNLCK else max(0, int(process))  # below 0: another machine's


@contextmanager
def read_only(sessions: Sessions) -> Iterator[Session]:
    """A session that only reads: it holds up nobody who writes, however long it takes. Nothing of it is committed."""
    engine: Engine = sessions.kw["bind"]
    with Session(engine.execution_options(**{_READ_ONLY: True}), expire_on_commit=False) as session:
        yield session


def reading_connection(sessions: Sessions) -> Connection:
    """A connection of its own, outside the pool, whose transactions only read; the caller closes it."""
    engine: Engine = sessions.kw["bind"]
    connection = engine.execution_options(**{_READ_ONLY: True}).connect()
    connection.detach()
    return connection


class OneWriter:
    """Serialises the writing threads of this process. Each starts as soon as the one before has finished; SQLite itself
    polls, with sleeps of up to 0.1 s.

    The wait for the turn counts towards the wait for another program's lock.
    """

    def __init__(self, sessions: Sessions, patience_s: float = BUSY_S) -> None:
        self._engine: Engine = sessions.kw["bind"]
        self._patience_s = patience_s
        self._turn = threading.Lock()

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction, as of `Sessions`.

        Raises:
            OperationalError, NoTurn: another program holds the database for longer than `patience_s`.
        """
        began = time.monotonic()
        if not self._turn.acquire(timeout=self._patience_s):
            raise NoTurn("another program holds the database")
        try:
            left_s = max(0.0, self._patience_s - (time.monotonic() - began))
            engine = self._engine.execution_options(**{_WAITS_S: left_s})
            with Session(engine, expire_on_commit=False) as session, session.begin():
                session.connection()  # begins it
                yield session
        finally:
            self._turn.release()


def why_not_opened(fault: SQLAlchemyError) -> str:
    """Why a database cannot be opened or written, and what to do: one sentence."""
    cause = str(getattr(fault, "orig", None) or fault).partition("\n")[0]
    cures = {
        "locked": "another program holds it: end that, or wait for it",
        "readonly": "it may not be written: mend its permissions, or mount its disk for writing",
        "unable to open": "it may not be written: mend its permissions and those of its folder",
        "full": "the disk is full: free some space",
        "disk i/o": "the disk does not answer: look at it",
        "not a database": "it is damaged, or no queue at all: restore the copy made last",
        "malformed": "it is damaged: restore the copy made last",
        "read-only": "the server only reads, as a standby does: wait for one that writes, or name it in database_url",
    }
    cure = next((cure for words, cure in cures.items() if words in cause.lower()), "look at database_url")
    return f"{cause}: {cure}"


def migrate(engine: Engine, to: str = "head") -> None:
    """Runs the Alembic migrations that this database has not seen, up to one of them.

    Raises:
        QueueUnusable: processes of an older version still run (PostgreSQL; with SQLite see `migrate_alone`).
    """
    from alembic import command  # takes half a second, and commands that only read do not need it
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        _wait_for_ever(connection)
        lock_in_transaction(connection, "migration")  # another process of the node may start too
        if connection.dialect.name == "postgresql" and to == "head":
            if _schema(connection) == _schemas()[-1]:
                return
            _must_be_alone(connection)
        settings.attributes["connection"] = connection
        command.upgrade(settings, to)


def _wait_for_ever(connection: Connection) -> None:
    """A migration rewrites whole tables."""
    driver = connection.connection.driver_connection
    if connection.dialect.name == "postgresql" and driver is not None:
        driver.answer_s = None


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise QueueUnusable(
            f"The queue {path} cannot be looked at: {error.strerror}. Run the command as the node's user."
        ) from error


def _is_current(engine: Engine) -> bool:
    """Whether the schema is current. False: it is older, or does not exist yet.

    Raises:
        QueueUnusable: it is a newer program's.
    """
    ours = _schemas()
    with engine.execution_options(**{_READ_ONLY: True}).connect() as connection:
        its = _schema(connection)
    if its is not None and its not in ours:
        raise QueueUnusable(
            f"The queue {engine.url.render_as_string()} was last used by a newer mammo-node (schema {its}): "
            "run that version, or restore a copy of the queue from before the upgrade."
        )
    return its == ours[-1]


def _schemas() -> list[str]:
    return sorted(path.stem.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _schema(connection: Connection) -> str | None:
    """The queue's; None: it has no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    its: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return its


def _must_be_alone(connection: Connection) -> None:
    others = processes_at_work(connection)
    if others is not None:
        raise QueueUnusable(
            f"The queue {connection.engine.url.render_as_string()} is of an older mammo-node, of which processes still "
            f"run: {', '.join(others)}. Stop all processes of the node, then start them with this version."
        )


def _begin_sqlite(busy_timeout_s: float, connection: Connection) -> None:
    reads_only = connection.get_execution_options().get(_READ_ONLY, False)
    if not reads_only:
        waits_s = connection.get_execution_options().get(_WAITS_S, busy_timeout_s)
        connection.exec_driver_sql(f"PRAGMA busy_timeout={waits_s * 1000:.0f}")
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _set_up_sqlite(busy_timeout_s: float, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # pysqlite must leave BEGIN to us
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={busy_timeout_s * 1000:.0f}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
