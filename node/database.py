"""The engine, its sessions and the migrations: SQLite by default, PostgreSQL by the URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

_LOOKS = "mammo_node_looks"

Sessions = sessionmaker[Session]
"""Opens a transaction: `with sessions.begin() as session: …` commits at the end or rolls back."""


def open_database(url: str) -> Engine:
    """The engine for `url`, its schema brought up to date."""
    engine = engine_for(url)
    migrate(engine)
    return engine


def engine_for(url: str) -> Engine:
    """The engine for `url`, whatever its schema.

    SQLite runs in WAL mode with synchronous=FULL, so that a committed row outlives a power cut, and every transaction
    begins IMMEDIATE, so that one that goes on to write never meets a stale snapshot; but for those of `looking`.
    """
    engine = create_engine(url, hide_parameters=True)  # an error that quoted its row would name the patient
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def sessions_of(engine: Engine) -> Sessions:
    """Sessions whose objects stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def looking(sessions: Sessions) -> Iterator[Session]:
    """A session that only looks: it holds up nobody who writes, however long it takes. Nothing of it is committed."""
    engine: Engine = sessions.kw["bind"]
    with Session(engine.execution_options(**{_LOOKS: True}), expire_on_commit=False) as session:
        yield session


def migrate(engine: Engine, to: str = "head") -> None:
    """Runs the Alembic migrations that this database has not seen, up to one of them."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, to)


def _begin_sqlite(connection: Connection) -> None:
    looks = connection.get_execution_options().get(_LOOKS, False)
    connection.exec_driver_sql("BEGIN" if looks else "BEGIN IMMEDIATE")


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # pysqlite must leave BEGIN to us
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
