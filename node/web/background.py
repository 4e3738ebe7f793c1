"""Work that is begun from a page and goes on after its answer: one at a time, in a process of its own."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial

from models.errors import UserError
from node.logs import place_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a piece of work: it runs, or it failed (a sentence), or it has a value."""

    runs: bool
    failed: str = ""
    value: object = None


class Background:
    """Begins work and remembers what became of it, by a key, since the page's process began.

    Args:
        ended: called when work has ended, from a thread of its own: open pages show the outcome.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._turn = threading.Lock()
        self._outcomes: dict[str, Outcome] = {}

    def begin(self, key: str, work: Callable[..., object], *arguments: object) -> bool:
        """Begins to call a function, which is picklable like its arguments and its value; False: other work runs. Work
        whose process cannot start has failed at once."""
        with self._turn:
            if any(outcome.runs for outcome in self._outcomes.values()):
                return False
            self._outcomes[key] = Outcome(runs=True)
        try:
            pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            begun = pool.submit(work, *arguments)
        except Exception as fault:  # noqa: BLE001 - whatever it was, no other work may wait for this
            log.error("%s: its process could not start: %s", key, place_of(fault))
            says = getattr(fault, "strerror", None) or type(fault).__name__
            self._become(key, Outcome(runs=False, failed=f"Its process could not start ({says}): try again later."))
            return True
        begun.add_done_callback(partial(self._end, key))
        pool.shutdown(wait=False)
        return True

    def outcome(self, key: str) -> Outcome | None:
        """What became of the work; None: it was not begun."""
        return self._outcomes.get(key)

    def _end(self, key: str, ended: Future[object]) -> None:
        match ended.exception():
            case None:
                outcome = Outcome(runs=False, value=ended.result())
            case UserError() as refusal:
                outcome = Outcome(runs=False, failed=str(refusal))
            case BrokenProcessPool():
                outcome = Outcome(runs=False, failed="Its process ended: is there too little memory?")
            case fault:
                outcome = Outcome(runs=False, failed=f"{place_of(fault)}. The node's log says more.")
        self._become(key, outcome)

    def _become(self, key: str, outcome: Outcome) -> None:
        with self._turn:
            self._outcomes[key] = outcome
        self._ended()
