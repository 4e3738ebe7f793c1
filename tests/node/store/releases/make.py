"""Makes the fixtures of test_upgrades.py: queues that each released schema's own code has written.

    python tests/node/store/releases/make.py [0012 …]

For each schema it takes the last commit that had it, lets that commit's own `mammo-node serve` receive, read and report
a study, sends it another one and kills it. The queue (as SQL) and the results are packed into NNNN.tar.xz; the images,
which are the same for all, into images.tar.xz. No destination answers, so that every result waits.

Run it once after a schema was released: a fixture that exists is not made again.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

FOLDER = Path(__file__).parent
TOP = FOLDER.parents[3]
MIGRATION = re.compile(r"migrations/versions/(\d{4})_")
NODE = """
data_dir = "{data}"
[receiver]
port = {port}
[[senders]]
ae_title = "PACS"
host = "127.0.0.1"
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {closed}
"""
REWRITTEN = ("0014",)
"""A migration that was rewritten 79 minutes after it came: a queue of that time keeps its first form."""
MOST_S = 400


class Failed(Exception):
    """A commit's node did not do it; the message is the end of its log. Those of 0004, 0005 and 0008 could not start:
    they join two branches, whose migrations did not fit until the next commit."""


def main(wanted: list[str]) -> None:
    sys.path[:0] = [str(TOP), str(TOP / "tests" / "support")]
    if not (FOLDER / "images.tar.xz").exists():
        _make_images()
    for schema, commit in last_commits().items():
        if (wanted and schema not in wanted) or (FOLDER / f"{schema}.tar.xz").exists():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            try:
                _make(schema, commit, Path(scratch))
            except Failed as why:
                print(schema, commit, why, flush=True)
                continue
        print(schema, commit, (FOLDER / f"{schema}.tar.xz").stat().st_size, "bytes", flush=True)


def last_commits() -> dict[str, str]:
    """By schema the last commit that had it. That of the newest schema may still change: it is left out."""
    found: dict[str, str] = {}
    for commit in _git("log", "--reverse", "--topo-order", "--format=%h", "HEAD").split():
        files = _git("ls-tree", "-r", "--name-only", commit, "node")
        if schemas := MIGRATION.findall(files):
            found[max(schemas)] = commit
    for schema in (max(found), *REWRITTEN):
        found.pop(schema, None)
    return found


def _make(schema: str, commit: str, scratch: Path) -> None:
    from ports import held_port

    code, data, config = scratch / "code", scratch / "data", scratch / "node.toml"
    code.mkdir()
    archive = subprocess.run(
        ["git", "archive", commit, "node", "models", "dicom_io", "config"], cwd=TOP, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", code], input=archive.stdout, check=True)
    with tarfile.open(FOLDER / "images.tar.xz") as images:
        images.extractall(scratch / "images", filter="data")
    with held_port() as port, held_port() as closed:
        config.write_text(NODE.format(data=data, port=port, closed=closed))
        with (scratch / "log").open("wb") as log:
            node = subprocess.Popen(
                [sys.executable, "-m", "node", "serve", "--config", config],
                env={**os.environ, "PYTHONPATH": str(code)},
                cwd=code,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                _send(scratch / "images" / "reported", port, node, scratch / "log")
                _wait(lambda: "REPORTED" in _states(data), node, scratch / "log")
                _send(scratch / "images" / "received", port, node, scratch / "log")
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(node.pid, signal.SIGKILL)
                node.wait()
    with closing(sqlite3.connect(data / "queue.sqlite")) as queue:
        dump = "\n".join(queue.iterdump())
    with tarfile.open(FOLDER / f"{schema}.tar.xz", "w:xz") as packed:
        _add(packed, "queue.sql", f"-- by {commit}\n{dump}".replace(str(data), "").encode())
        for path in _sorted_files(data):
            if path.relative_to(data).parts[0] in ("results", "readings"):
                _add(packed, str(path.relative_to(data)), path.read_bytes())


def _send(folder: Path, port: int, node: subprocess.Popen[bytes], log: Path) -> None:
    def sent() -> bool:
        tried = subprocess.run(
            [sys.executable, "-m", "node", "send", folder, f"MAMMO_NODE@127.0.0.1:{port}", "--calling", "PACS"],
            cwd=TOP,
            capture_output=True,
            text=True,
            check=False,
        )
        return tried.returncode == 0

    _wait(sent, node, log)


def _states(data: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{data / 'queue.sqlite'}?mode=ro", uri=True)) as queue:
        return [str(state).upper() for (state,) in queue.execute("SELECT state FROM study")]


def _wait(until: Callable[[], bool], node: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + MOST_S
    while not until():
        if node.poll() is not None or time.monotonic() > deadline:
            raise Failed(log.read_text()[-3000:])
        time.sleep(0.2)


def _make_images() -> None:
    """The demo's two studies, with every eighth pixel of every eighth row."""
    from small_studies import small_studies

    from node.demo.studies import find_cases

    with tempfile.TemporaryDirectory() as scratch, tarfile.open(FOLDER / "images.tar.xz", "w:xz") as packed:
        for name, study in zip(("reported", "received"), small_studies(find_cases(), Path(scratch)), strict=True):
            for number, file in enumerate(study.files, start=1):
                _add(packed, f"{name}/{number}.dcm", _tiny(file))


def _tiny(file: Path) -> bytes:
    from pydicom import dcmread

    image = dcmread(file)
    pixels = image.pixel_array[::8, ::8]
    image.Rows, image.Columns = pixels.shape
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if keyword in image:
            setattr(image, keyword, [round(8 * float(side), 4) for side in image[keyword].value])
    image.PixelData = pixels.tobytes()
    written = io.BytesIO()
    image.save_as(written)
    return written.getvalue()


def _add(packed: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    packed.addfile(entry, io.BytesIO(content))


def _sorted_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=TOP, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main(sys.argv[1:])
