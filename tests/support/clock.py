"""A clock that changes only when a test sets it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Returns `seconds` since 1970."""

    seconds: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds
