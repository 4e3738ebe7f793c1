"""Places the bars of charts; templates draw them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from node.operations.day import Hour

SERIES = ("received", "read", "delivered")
WIDTH, HEIGHT = 960, 220
_LEFT, _TOP, _FLOOR = 64, 14, 186


@dataclass(frozen=True)
class Bar:
    """A bar in the chart's own units; `series` is one of SERIES."""

    series: str
    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True)
class Mark:
    """A mark of an axis: where it stands, and its number (hours: UTC seconds since the epoch)."""

    at: float
    value: float


@dataclass(frozen=True)
class HourlyChart:
    """`width` × `height`; the bars stand on `floor`; `levels` and `hours` are the marks of the axes."""

    bars: tuple[Bar, ...]
    levels: tuple[Mark, ...]
    hours: tuple[Mark, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    floor: int = _FLOOR


def hourly(hours: Sequence[Hour]) -> HourlyChart:
    """Three bars for each hour: received, read, delivered."""
    top = _round_up(max((getattr(hour, series) for hour in hours for series in SERIES), default=0))
    slot = (WIDTH - _LEFT) / max(1, len(hours))
    width = slot / (len(SERIES) + 1)
    scale = (_FLOOR - _TOP) / top
    bars = [
        Bar(
            series,
            _LEFT + number * slot + (place + 0.5) * width,
            _FLOOR - scale * count,
            width,
            scale * count,
            f"{count} {series}",
        )
        for number, hour in enumerate(hours)
        for place, series in enumerate(SERIES)
        if (count := getattr(hour, series))
    ]
    levels = [Mark(_FLOOR - scale * value, value) for value in (0, top // 2, top)]
    marks = [Mark(_LEFT + number * slot, hour.start) for number, hour in enumerate(hours) if number % 3 == 0]
    return HourlyChart(tuple(bars), tuple(levels), tuple(marks))


def _round_up(most: int) -> int:
    """The end of the axis: the next of 10, 20, 50, 100, … that holds `most`."""
    if most <= 10:
        return 10
    power: int = 10 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)
