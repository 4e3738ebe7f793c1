"""The reader's CPU threads: how many, and how they wait for one another."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from models.types.words import counted

if TYPE_CHECKING:
    import torch

    from models.threads import ThreadTimes

log = logging.getLogger(__name__)


def wait_without_spinning() -> None:
    """Lets threads that wait sleep: they would otherwise spin, and take the cores from other programs.

    OpenMP reads this when torch loads it: call it before torch is imported. What the user's environment says remains.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def use_threads(device: torch.device, wanted: int | None, clock: Callable[[], float]) -> None:
    """Sets the threads with which this process reads.

    Args:
        device: nothing is measured for a GPU.
        wanted: how many; None: as many as are fastest now.
        clock: returns seconds of wall time from any origin.
    """
    import torch

    from models.threads import measure_threads

    if wanted is None and device.type == "cpu":
        times = measure_threads(clock)
        wanted = times.best
        log.info("reading with %s: %s", counted(wanted, "thread"), in_words(times))
    if wanted is not None:
        torch.set_num_threads(wanted)


def in_words(times: ThreadTimes) -> str:
    """The times that were measured, for people."""
    each = ", ".join(f"{1000 * seconds:.0f} ms with {threads}" for threads, seconds in times.seconds.items())
    return f"the same work took {each}"
