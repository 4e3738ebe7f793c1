"""Places control charts and the chart of two bundles' scores; templates draw them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from node.operations.drift import WEEKS_SHOWN, Course, Point
from node.operations.shadows import Pair
from node.reporting.weeks import WEEK_S

_LEFT, _RIGHT, _TOP, _FLOOR, _HEIGHT = 66, 380, 14, 150, 184
_SIDE, _EDGE = 320, 46


@dataclass(frozen=True)
class Dot:
    """A value in the chart's units; `kind`: "outside", "judged" or "unjudged"; of two scores "changed" or "same"."""

    x: float
    y: float
    kind: str
    says: str


@dataclass(frozen=True)
class Level:
    """A mark of the axis of values."""

    y: float
    text: str


@dataclass(frozen=True)
class ControlChart:
    """`line` and `band` are points of SVG polygons: the values, and the limits (empty: none are known); `centre`: where
    the usual value stands; `first`, `last`: the Mondays at the ends, UTC seconds since the epoch."""

    dots: tuple[Dot, ...]
    line: str
    band: str
    centre: float | None
    levels: tuple[Level, ...]
    first: float
    last: float
    left: int = _LEFT
    right: int = _RIGHT
    floor: int = _FLOOR
    width: int = _RIGHT + 14
    height: int = _HEIGHT


@dataclass(frozen=True)
class ScoreChart:
    """Score against score, both from 0 to 1; the reported one goes to the right, the other one up."""

    dots: tuple[Dot, ...]
    levels: tuple[Level, ...]
    edge: int = _EDGE
    side: int = _SIDE
    size: int = _EDGE + _SIDE + 12


def control_chart(course: Course, now: float) -> ControlChart | None:
    """The chart of a course up to `now` (UTC seconds since the epoch); None: it has no week."""
    points = course.points
    if not points:
        return None
    first = max(points[0].start, now - WEEKS_SHOWN * WEEK_S)
    span = max(WEEK_S, points[-1].start - first)
    values = [value for point in points for value in (point.value, point.high) if not math.isnan(value)]
    top = max(values) * 1.05 or 1.0

    def x(point: Point) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (point.start - first) / span, 1)

    def y(value: float) -> float:
        return round(_FLOOR - (_FLOOR - _TOP) * value / top, 1)

    known = [point for point in points if not math.isnan(point.high)]
    ends = [(x(point), y(point.high)) for point in known] + [(x(point), y(point.low)) for point in reversed(known)]
    return ControlChart(
        tuple(Dot(x(point), y(point.value), _kind(point), f"{point.value:.3f} of {point.of}") for point in points),
        " ".join(f"{x(point)},{y(point.value)}" for point in points),
        " ".join(f"{across},{down}" for across, down in ends),
        None if course.centre is None else y(course.centre),
        tuple(Level(y(value), f"{value:.2f}") for value in (0.0, top / 2, top)),
        first,
        points[-1].start,
    )


def score_chart(pairs: Sequence[Pair]) -> ScoreChart:
    """The chart of two bundles' scores of the same exams."""
    return ScoreChart(
        tuple(
            Dot(
                round(_EDGE + _SIDE * pair.score, 1),
                round(_SIDE * (1 - pair.other_score) + 12, 1),
                "changed" if pair.is_changed else "same",
                f"study {pair.study}: {pair.score:.2f}, {pair.other_score:.2f}",
            )
            for pair in pairs
        ),
        tuple(Level(12 + _SIDE * (1 - value), f"{value:g}") for value in (0.0, 0.5, 1.0)),
    )


def _kind(point: Point) -> str:
    return "outside" if point.is_outside else "judged" if point.judged else "unjudged"
