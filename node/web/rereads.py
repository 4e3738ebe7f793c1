"""Studies that are read again from the page: one at a time, in a process of its own, since models need torch."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from config.settings import Settings
from models.errors import UserError
from node.logs import place_of, set_up_logging
from node.operations.rereading import read_again
from node.store.database import open_queue

RUNS = "It is being read again. This page shows its next revision when it is there."


class Rereads:
    """What was asked to be read again since the page's process began, and what became of it.

    Args:
        now: UTC seconds since the epoch; picklable.
    """

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._turn = threading.Lock()
        self._running: int | None = None
        self._said: dict[int, str] = {}

    def begin(self, study: int) -> bool:
        """Begins to read a study again; False: another one is being read."""
        with self._turn:
            if self._running is not None:
                return False
            self._running = study
            self._said[study] = RUNS
        pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        pool.submit(_read_again, self._settings, study, self._now).add_done_callback(partial(self._end, study))
        pool.shutdown(wait=False)
        return True

    def said_of(self, study: int) -> str:
        """What became of it, one sentence; "" where it was not asked for."""
        return self._said.get(study, "")

    def _end(self, study: int, outcome: Future[int | None]) -> None:
        fault = outcome.exception()
        match fault:
            case None:
                said = f"It was read again: revision {outcome.result()} reports it."
            case UserError():
                said = f"It was not read again: {fault}"
            case BrokenProcessPool():
                said = "It was not read again: the process that read it ended. Is there too little memory?"
            case _:
                said = f"It was not read again: {place_of(fault)}. The node's log says more."
        with self._turn:
            self._said[study] = said
            self._running = None


def _read_again(settings: Settings, study: int, now: Callable[[], float]) -> int | None:
    """In the other process."""
    set_up_logging(settings.log_level)
    _, revision = read_again(settings, open_queue(settings.database), study, None, now, lambda *_: None)
    return revision
