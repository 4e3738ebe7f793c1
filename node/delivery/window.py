"""The hours in which a destination gets what is not urgent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta


@dataclass(frozen=True)
class Window:
    """From `start` to before `end` every day, by this machine's local time; over midnight if `end` is before it."""

    start: time
    end: time

    @classmethod
    def between(cls, start: str, end: str) -> Window:
        """The window of two times such as "19:00"."""
        return cls(time.fromisoformat(start), time.fromisoformat(end))

    def __str__(self) -> str:
        return f"{self.start:%H:%M} and {self.end:%H:%M}"

    def is_open(self, now: float) -> bool:
        """`now`: UTC seconds since the epoch."""
        local = datetime.fromtimestamp(now).astimezone().time()
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    def opens_at(self, now: float) -> float:
        """The next time after `now` at which it opens; `now` if it is open. UTC seconds since the epoch."""
        if self.is_open(now):
            return now
        today = datetime.fromtimestamp(now).astimezone().date()
        openings = (datetime.combine(today + timedelta(days=days), self.start).timestamp() for days in range(3))
        return next(opening for opening in openings if opening > now)
