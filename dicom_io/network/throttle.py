"""Slows down whoever tries passwords, passcodes or tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable

FREE_TRIES = 5
"""Failures without a wait; each further one doubles it."""
LONGEST_WAIT_S = 900.0
MOST_KEYS = 10_000
"""Keys that are remembered; the oldest are forgotten first."""


class Throttle:
    """Counts failures by key (an address, an account's name). Thread-safe.

    Args:
        steady: seconds of a clock.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._failures: dict[str, tuple[int, float]] = {}
        self._turn = threading.Lock()

    def wait_s(self, *keys: str) -> float:
        """How long these must still wait; 0: they may try."""
        now = self._steady()
        with self._turn:
            return max(0.0, *(self._until(*self._failures.get(key, (0, now))) - now for key in keys))

    def failed(self, *keys: str) -> None:
        with self._turn:
            for key in keys:
                count, _ = self._failures.pop(key, (0, 0.0))
                self._failures[key] = count + 1, self._steady()
            while len(self._failures) > MOST_KEYS:
                self._failures.pop(next(iter(self._failures)))

    def succeeded(self, *keys: str) -> None:
        with self._turn:
            for key in keys:
                self._failures.pop(key, None)

    def _until(self, count: int, last: float) -> float:
        if count < FREE_TRIES:
            return last
        return last + min(LONGEST_WAIT_S, 2.0 ** min(count - FREE_TRIES + 1, 30))
