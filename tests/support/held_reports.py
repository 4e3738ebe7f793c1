"""`mammo-node` for a test that kills it in the middle of a report: once the file HOLD is there, a report that has
written one of its results makes the file HELD and goes no further."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from dicom_io.durable import write_durably
from node.reporting import reporter

HOLD, HELD = "HOLD_REPORTS_WHILE_THERE", "REPORTS_ARE_HELD"
"""Environment variables: the paths of the two files."""


def write_and_hold(path: Path, content: bytes) -> None:
    write_durably(path, content)
    if Path(os.environ[HOLD]).exists():
        Path(os.environ[HELD]).touch()
        threading.Event().wait()


if __name__ == "__main__":  # a test imports this file for its names, and its own reports go on
    from node.cli.main import main

    vars(reporter)["write_durably"] = write_and_hold
    main()
