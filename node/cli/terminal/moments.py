"""Moments for people: in the machine's time zone."""

from __future__ import annotations

from datetime import datetime


def local_time(seconds: float) -> str:
    """`2026-01-31 14:05:00+01:00`, of UTC seconds since the epoch."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
