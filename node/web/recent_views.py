"""Who has opened which study lately: a page that refreshes itself is one event of the audit trail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from node.audit.actors import Actor

AGAIN_AFTER_S = 600.0
MOST = 10_000
"""Views that are remembered; the oldest are forgotten first."""


@dataclass
class RecentViews:
    """Thread-safe. `now`: UTC seconds since the epoch."""

    now: Callable[[], float]
    _views: dict[tuple[str, str, int], float] = field(default_factory=dict, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    def is_new(self, by: Actor, study: int) -> bool:
        """Whether somebody has not opened a study within AGAIN_AFTER_S; from now on they have."""
        key, now = (by.known_as, by.address, study), self.now()
        with self._turn:
            if now - self._views.get(key, -AGAIN_AFTER_S) < AGAIN_AFTER_S:
                return False
            self._views.pop(key, None)
            self._views[key] = now
            while len(self._views) > MOST:
                self._views.pop(next(iter(self._views)))
            return True
