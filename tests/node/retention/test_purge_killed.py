"""The real program is killed while it deletes: the node that starts then finishes it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from keeping import named, on_disk, reported_and_delivered
from road import Road
from running import RunningNode, eventually

from node.demo.studies import DemoStudy
from node.store.tables import DoomedFile, Study

pytestmark = pytest.mark.slow

KILLED = """
import os, signal, sys
from pathlib import Path
from node.cli.main import main

unlink, left = Path.unlink, [int(sys.argv.pop(1))]

def cut_off(path, missing_ok=False):
    if path.suffix in (".dcm", ".npz"):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
    unlink(path, missing_ok)

Path.unlink = cut_off
main()
"""


@pytest.mark.parametrize("deleted", [0, 3, 7])
def test_a_purge_killed_between_rows_and_files_is_finished_by_the_next_start(
    tmp_path: Path, queue_url: str, mammogram_study: DemoStudy, blind_bundle: Path, deleted: int
) -> None:
    settings = f"""
        [reader]
        bundle = "{blind_bundle}"
        device = "cpu"
        [retention]
        images_days = 30
        [[destinations]]
        name = "pacs"
        ae_title = "PACS"
        host = "127.0.0.1"
        port = 9
    """
    node = RunningNode(tmp_path, settings, database_url=queue_url)
    road = Road(node.data_dir, database_url=queue_url)
    reported_and_delivered(road, *mammogram_study.files)  # its clock stands in 2023
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(deleted), "purge", "--yes", "--config", node.config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert named(road) < on_disk(road), "the rows say first that the files are gone"

    def finished() -> bool:
        with road.sessions.begin() as session:
            return session.query(DoomedFile).count() == 0

    assert not finished()
    try:
        node.start()
        eventually("what was begun is finished", finished)
    finally:
        node.end()
    assert on_disk(road) == named(road)
    with road.sessions.begin() as session:
        assert session.query(Study).one().images_purged_at is not None
