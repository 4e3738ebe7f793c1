"""A copy of a SQLite queue while the node works on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from models.errors import UserError

_PAGES = 1000
"""Pages that are copied at once: the node may write between two steps."""


class CannotBackUp(UserError):
    """No copy was made; the message says why, and what to do."""


def back_up(engine: Engine, to: Path, progress: Callable[[int, int], None]) -> None:
    """Copies the queue of `engine` into a new file by SQLite's own online backup (sqlite.org/backup.html): the queue as
    it was at one moment, and whole.

    Args:
        progress: called with the pages copied and the pages in all.

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
            source.backup(copy, pages=_PAGES, progress=lambda _, left, of: progress(of - left, of))
            (whole,) = copy.execute("PRAGMA integrity_check").fetchone()
        if whole != "ok":
            raise CannotBackUp(f"The copy is damaged ({whole}), so the queue probably is: restore an earlier copy.")
        part.chmod(0o600)
        part.rename(to)
    except (OSError, sqlite3.Error) as error:
        raise CannotBackUp(f"{to}: cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
