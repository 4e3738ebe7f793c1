"""A copy of a SQLite queue while the node works on it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from dicom_io.durable import sync_folder
from models.errors import UserError


class CannotBackUp(UserError):
    """No copy was made; the message says why, and what to do."""


def back_up(engine: Engine, to: Path) -> None:
    """Copies the queue of `engine` into a new file by SQLite's own online backup (sqlite.org/backup.html): the queue as
    it was at one moment, and whole.

    All pages are copied in one step, which reads one moment and keeps nobody from writing (WAL): a backup in several
    steps begins again whenever the node writes between two.

    Raises:
        CannotBackUp: the queue is in another database, the file is there already, or it cannot be written.
    """
    if engine.dialect.name != "sqlite":
        raise CannotBackUp(f"The queue is in {engine.dialect.name}: use that database's own backup (pg_dump).")
    if to.exists():
        raise CannotBackUp(f"{to} is there already: name a new file.")
    part = to.with_name(f"{to.name}.part")
    try:
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(str(engine.url.database))) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
            (whole,) = copy.execute("PRAGMA integrity_check").fetchone()
        if whole != "ok":
            raise CannotBackUp(f"The copy is damaged ({whole}), so the queue probably is: restore an earlier copy.")
        part.chmod(0o600)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(to)
        sync_folder(to.parent)
    except (OSError, sqlite3.Error) as error:
        raise CannotBackUp(f"{to}: cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
