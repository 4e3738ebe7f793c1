"""Data folders as released schemas' own code left them (tests/node/store/releases)."""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

from pydicom import dcmread

FOLDER = Path(__file__).parents[1] / "node" / "store" / "releases"
SCHEMAS = sorted(path.name.removesuffix(".tar.xz") for path in FOLDER.glob("[0-9]*.tar.xz"))


def images(folder: Path) -> dict[str, Path]:
    """The images that those nodes had received, written into a folder; by SOP Instance UID."""
    with tarfile.open(FOLDER / "images.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return {dcmread(path, stop_before_pixels=True).SOPInstanceUID: path for path in sorted(folder.rglob("*.dcm"))}


def restore(schema: str, folder: Path) -> Path:
    """A data folder of that schema: one study reported, whose results wait for the destination "pacs", and one that
    was being received and read when the node was killed. Its images are those of `images`, where its rows say."""
    data = folder / "data"
    with tarfile.open(FOLDER / f"{schema}.tar.xz") as packed:
        packed.extractall(data, filter="data")
    sql = data / "queue.sql"
    with closing(sqlite3.connect(data / "queue.sqlite")) as queue:
        queue.executescript(sql.read_text())
        rows = queue.execute("SELECT sop_instance_uid, path FROM instance").fetchall()
    sql.unlink()
    received = images(folder / "images")
    for uid, path in rows:
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_bytes(received[uid].read_bytes())
    return data
