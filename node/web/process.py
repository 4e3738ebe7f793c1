"""The process of the web page: spawned, watched, and started again when it ends. Receiving never depends on it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait

from node.logs import place_of
from node.spawned import end, end_with_the_node

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 60.0
BEHIND_RECEIVING = 5
"""Added to the process's nice value: receiving and reading go before pages."""
LIVED_S = 60.0
"""A process that ran so long began well: the next pause is short again."""


class WebSupervisor:
    """Runs one process, and starts it again when it ends, after a pause that grows while it ends soon.

    Args:
        target: the process's main function and its arguments; both must be picklable.
        steady: seconds of a clock that nobody sets.
    """

    def __init__(self, target: Callable[..., None], arguments: tuple[object, ...], steady: Callable[[], float]) -> None:
        self._target = target
        self._arguments = arguments
        self._steady = steady

    def run(self, stop: threading.Event) -> None:
        """Returns after `stop` was set and the process has ended."""
        pause_s = 0.0
        while not stop.wait(pause_s):
            began = self._steady()
            process = multiprocessing.get_context("spawn").Process(
                target=_web_main, args=(self._target, self._arguments), name="web"
            )
            process.start()
            try:
                while not stop.is_set() and not wait([process.sentinel], timeout=0.25):
                    pass
            finally:
                end(process)
            if not stop.is_set():
                pause_s = 1.0 if self._steady() - began > LIVED_S else min(LONGEST_PAUSE_S, 2 * pause_s + 1)
                log.error(
                    "the web page's process ended (exit status %s); it is started again in %.0f s",
                    process.exitcode,
                    pause_s,
                )


def _web_main(target: Callable[..., None], arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the node ends its processes itself
    end_with_the_node()
    os.nice(BEHIND_RECEIVING)
    try:
        target(*arguments)
    except Exception as fault:  # noqa: BLE001 - the process ends with it
        # Only its place is logged: multiprocessing would print the message, which may quote a value.
        log.error("the web page stops: %s", place_of(fault))
        sys.exit(1)
