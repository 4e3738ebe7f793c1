"""A real PostgreSQL (Debian package postgresql-15), started for the tests, with a database for each."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import psutil
import pytest
from ports import held_port
from sqlalchemy import create_engine, text

from node.store.database import Sessions, open_database, sessions_of

_PROGRAMS = "/usr/lib/postgresql"
_MIGRATED = "migrated"


@dataclass
class PostgreSQL:
    """A server on a free port of 127.0.0.1; `control` runs pg_ctl for it."""

    port: int
    control: Callable[..., object]
    data: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://mammo@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """The URL of a new, empty queue."""
        name = f"queue_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {_MIGRATED}")
        return self.url(name)

    def empty(self) -> str:
        """The URL of a new database without tables."""
        name = f"empty_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def crash_and_start(self) -> None:
        """Ends the server at once, as a power cut does, and starts it again."""
        self.control("-m", "immediate", "restart")

    @contextmanager
    def away(self) -> Iterator[None]:
        """It has ended at once, as by a power cut, and is started at the end."""
        self.control("-m", "immediate", "stop")
        try:
            yield
        finally:
            self.control("start")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """None of its processes runs meanwhile: it takes connections and bytes, and never answers."""
        main = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        stopped = [main, *main.children(recursive=True)]
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in reversed(stopped):
                process.resume()

    @contextmanager
    def only_reading(self) -> Iterator[None]:
        """It takes no writes meanwhile, as a primary that was demoted; connections stay open, and notice it within a
        moment."""
        self._set_and_reload("SET default_transaction_read_only = on")
        try:
            yield
        finally:
            self._set_and_reload("RESET default_transaction_read_only")

    def _set_and_reload(self, setting: str) -> None:
        self.run(f"ALTER SYSTEM {setting}")
        self.run("SELECT pg_reload_conf()")

    @contextmanager
    def queue(self) -> Iterator[Sessions]:
        """A new queue of a node."""
        engine = open_database(self.fresh())
        yield sessions_of(engine)
        engine.dispose()

    def run(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@contextmanager
def debian_postgresql(*, durable: bool = False) -> Iterator[PostgreSQL]:
    """PostgreSQL in a folder of its own; the test is skipped where it is not installed. It refuses to run as root, and
    runs as Debian's user postgres then.

    Args:
        durable: it writes to the disk at each commit; tests of the node need not wait for that.
    """
    programs = sorted(Path(_PROGRAMS).glob("*/bin/postgres"))
    if not programs:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql-15)")
    user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
    bin_folder = programs[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if user is not None:
        os.chown(folder, user, -1)
    initialise: list[str | Path] = [
        bin_folder / "initdb",
        "-D",
        folder / "data",
        "-U",
        "mammo",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    subprocess.run(initialise, check=True, capture_output=True, cwd="/", user=user)
    with held_port() as port:
        settings = [
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={folder}",
            f"fsync={'on' if durable else 'off'}",
            f"port={port}",
        ]
        options = " ".join(f"-c {setting}" for setting in settings)
        start: list[str | Path] = [
            bin_folder / "pg_ctl",
            "-D",
            folder / "data",
            "-w",
            "-o",
            options,
            "-l",
            folder / "log",
        ]
        control = partial(_control, start, user)
        control("start")
        try:
            server = PostgreSQL(port, control, folder / "data")
            server.run(f"CREATE DATABASE {_MIGRATED}")
            open_database(server.url(_MIGRATED)).dispose()
            yield server
        finally:
            control("-m", "immediate", "stop")
            shutil.rmtree(folder)


def _control(pg_ctl: Sequence[str | Path], user: int | None, *arguments: str) -> None:
    subprocess.run([*pg_ctl, *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/", user=user)


def lose_locks(sessions: Sessions) -> None:
    """Ends the connections that hold locks, as a restart of the server does."""
    with sessions.begin() as session:
        session.execute(
            text("SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1")
        )
