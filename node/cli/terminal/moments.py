"""Times in the time zone of the machine."""

from __future__ import annotations

from datetime import datetime


def local_time(seconds: float) -> str:
    """Seconds since the epoch as `2026-01-31 14:05:00+01:00`."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
