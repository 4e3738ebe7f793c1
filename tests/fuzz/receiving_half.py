"""The receiving half of the node as the targets use it: what it stores is checked and deleted."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import delete, select

from node.intake.receiving import Receiving, ReceivingLimits
from node.intake.same_pixels import PixelComparison
from node.store.database import open_database, sessions_of
from node.store.tables import Annotation, Instance, Job, ReceivedAssessment, Study


class _NeverTheSame(PixelComparison):
    """Compares nothing: one process per comparison would dominate the time; tests/node/intake tests it."""

    def is_same(self, kept: Path, other: Path) -> bool:
        return False


class ReceivingHalf:
    """A Receiving with its database and data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data_dir = folder / "data"
        self._data_dir.mkdir()
        self.sessions = sessions_of(open_database(f"sqlite:///{folder / 'queue.sqlite'}"))
        limits = ReceivingLimits(max_image_bytes=1 << 20)
        self.receiving = Receiving(self.sessions, self._data_dir, limits, frozenset(), lambda: 1.7e9)
        self.receiving._pixels = _NeverTheSame(10_000)

    def empty(self) -> None:
        """Deletes everything, after checking that every file has its row and every row its file."""
        assert not orphans(self._folder), "files without a row, or rows without a file"
        with self.sessions.begin() as session:
            for table in (ReceivedAssessment, Annotation, Job, Instance, Study):
                session.execute(delete(table))
        for name in ("archive", "quarantine"):
            for study in (self._data_dir / name).iterdir():
                shutil.rmtree(study)


def orphans(folder: Path) -> int:
    """Files of the archive without a row, and rows without a file."""
    engine = open_database(f"sqlite:///{folder / 'queue.sqlite'}")
    with sessions_of(engine).begin() as session:
        rows = set(session.scalars(select(Instance.path)))
    engine.dispose()
    archive = {path.relative_to(folder / "data").as_posix() for path in (folder / "data/archive").rglob("*.dcm")}
    # Older versions of an instance stay, under its name without a number or with a lower one.
    named = {path.removesuffix(".dcm").partition("_")[0] for path in rows}
    without_row = sum(path.removesuffix(".dcm").partition("_")[0] not in named for path in archive)
    return without_row + sum(not (folder / "data" / path).is_file() for path in rows)
