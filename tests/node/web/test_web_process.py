"""The page's process: started again when it ends, and never more than a page."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from running import eventually

from node.store.database import open_database
from node.web.process import WebSupervisor

pytestmark = pytest.mark.slow

SERVE = """
import sys
from pathlib import Path
from config.settings import Settings
from node.web.main import run_web
run_web(Settings(data_dir=Path(sys.argv[1]), web={"port": int(sys.argv[2])}))
"""


def write_a_line_and_end(file: Path) -> None:
    with file.open("a") as lines:
        lines.write("started\n")
    sys.exit(3)


def test_a_page_that_ends_is_started_again_after_a_pause_that_grows(tmp_path: Path, caplog):
    file, stop = tmp_path / "lines", threading.Event()
    supervisor = WebSupervisor(write_a_line_and_end, (file,), time.monotonic)
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    with caplog.at_level(logging.ERROR):
        thread.start()
        eventually("it was started twice", lambda: "started again in 3 s" in caplog.text)
        stop.set()
        thread.join(timeout=60)
    assert not thread.is_alive()
    assert file.read_text().count("started") == 2
    assert "the web page's process ended (exit status 3); it is started again in 1 s" in caplog.text


def test_a_port_in_use_is_named_in_the_log(tmp_path: Path):
    open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}").dispose()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "-c", SERVE, tmp_path, str(port)], capture_output=True, text=True, check=False, timeout=300
        )
    assert ran.returncode == 1
    assert f"the web page cannot listen on 127.0.0.1:{port}" in ran.stderr
