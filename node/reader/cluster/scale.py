"""How many actors there should be: pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from config.ray import Ray

IDLE_S = 60.0
"""An actor that was not needed for so long is ended."""


def wanted_actors(settings: Ray, room: int, images: int, batch: int) -> int:
    """How many actors there should be now.

    Args:
        room: how many the cluster's machines hold.
        images: that wait or are read.
        batch: images that an actor reads at once.
    """
    most = room if settings.max_actors is None else min(room, settings.max_actors)
    return min(most, max(settings.min_actors, math.ceil(images / batch)))


@dataclass(frozen=True)
class Surplus:
    """Since when more actors are there than wanted; None: they are not. Seconds of a clock that nobody sets."""

    since: float | None = None

    def seen(self, actors: int, wanted: int, now: float) -> Surplus:
        if actors <= wanted:
            return Surplus()
        return self if self.since is not None else Surplus(now)

    def is_over(self, now: float) -> bool:
        """Whether an actor should be ended."""
        return self.since is not None and now - self.since >= IDLE_S
