"""Times in the time zone of the machine."""

from __future__ import annotations

from datetime import datetime


def local_time(seconds: float) -> str:
    """Seconds since the epoch as `2026-01-31 14:05:00+01:00`."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")


def local_minute(seconds: float) -> str:
    """Seconds since the epoch as `2026-01-31 14:05`, to be shown beside `local_zone`."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"


def local_zone() -> str:
    """The time zone of the machine now, as `CET, UTC+01:00`."""
    now = datetime.now().astimezone()
    return f"{now:%Z}, UTC{now.isoformat()[-6:]}"
