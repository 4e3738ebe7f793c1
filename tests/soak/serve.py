"""`mammo-node serve` whose wall clock is set by a file: the seconds in it are added to the real time.

As if somebody set the machine's clock; the monotonic clock goes on, as it does then. CLOCK names the file.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def set_by(file: Path, real: Callable[[], float]) -> Callable[[], float]:
    """The wall clock, in UTC seconds since the epoch, shifted by the content of `file`."""

    def now() -> float:
        try:
            return real() + float(file.read_text() or 0)
        except OSError:  # without a free file descriptor, for example: the clock still exists
            return real()

    return now


if "CLOCK" in os.environ:  # the reader's process too, which imports this file as its main module
    time.time = set_by(Path(os.environ["CLOCK"]), time.time)

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    from node.cli.main import main

    main()
