"""Drift: whether the scores, the findings or the recalls of a scanner leave what was usual. Control charts by week.

For each scanner, sender and bundle the first BASELINE_WEEKS weeks with enough images say what is usual; later weeks
are compared with limits of three standard errors around it, and so are the last SUSTAINED weeks together, which show
a smaller shift. Means: Shewhart's chart (NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2). Findings per image,
and the share of recalls: u and p charts (6.3.3). The images of an exam are alike, so weeks differ more than single
images would make them: Laney's factor widens the limits by how much the baseline's weeks do (Improved control charts
for attributes, Quality Engineering 14, 2002, 531-537).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.reporting.weeks import start_of, week_of
from node.store.tables import ReadingWeek

BASELINE_WEEKS = 12
LEAST_IMAGES = 20
"""A week with fewer is shown and not judged."""
SUSTAINED = 8
WEEKS_SHOWN = 53
_SIGMAS = 3
_LEAST_SD = 0.001
_MEAN_OF_RANGE = 1.128
"""d2: the mean difference of two values of a normal distribution with standard deviation 1."""


@dataclass(frozen=True)
class Point:
    """A week of one measure. `start`: its Monday, UTC seconds since the epoch; `of`: how many images or exams it is of;
    `low`, `high`: the limits, NaN where none are known; `judged`: whether it is compared with them; `is_over`: whether
    the week is."""

    start: float
    value: float
    of: int
    low: float
    high: float
    judged: bool
    is_over: bool = True

    @property
    def is_outside(self) -> bool:
        return self.judged and not self.low <= self.value <= self.high


@dataclass(frozen=True)
class Course:
    """One measure of one scanner over the weeks. `centre`: what is usual, None while it is not known; `drifts`: how it
    left that, a sentence without its end, or ""."""

    measure: str
    points: tuple[Point, ...]
    centre: float | None
    drifts: str

    @property
    def last(self) -> Point | None:
        """The last week that is over, or else the present one; None: there is none."""
        over = [point for point in self.points if point.is_over]
        return next(reversed(over or self.points), None)


@dataclass(frozen=True)
class Watched:
    """A scanner at a sender, read by one bundle. `waits`: how many weeks are needed before it is judged."""

    scanner: str
    source: str
    bundle: str
    courses: tuple[Course, ...]
    waits: int

    @property
    def name(self) -> str:
        return f"{self.scanner or 'A scanner that is not named'} from {self.source or 'files'}"

    @property
    def drifts(self) -> tuple[str, ...]:
        """How it drifts, one sentence each; empty: it does not, as far as is known."""
        return tuple(f"{self.name}: {course.drifts}" for course in self.courses if course.drifts)


class _Week(NamedTuple):
    """What is counted of a week: see ReadingWeek. Rows of the ORM would take ten times as long."""

    week: int
    images: int
    score_sum: float
    score_squares: float
    findings: int
    exams: int
    exams_above: int


_COLUMNS = (
    ReadingWeek.scanner, ReadingWeek.source, ReadingWeek.bundle,
    *(getattr(ReadingWeek, name) for name in _Week._fields),
)  # fmt: skip


@dataclass(frozen=True)
class _Measure:
    """`value`: of a week; `of`: the number of images or exams that it is of; `sd`: the standard deviation of one, given
    the baseline as one week, its centre, and of how many the value is; `top`: the highest value that there can be."""

    name: str
    value: Callable[[_Week], float]
    of: Callable[[_Week], int]
    sd: Callable[[_Week, float, int], float]
    top: float


def _sd_of_scores(whole: _Week, centre: float, of: int) -> float:
    return max(_LEAST_SD, math.sqrt(max(0.0, whole.score_squares / whole.images - centre**2)))


def _sd_of_counts(whole: _Week, centre: float, of: int) -> float:
    """Of a Poisson distribution, as if one at least were expected: the limits do not hold for rarer ones."""
    return math.sqrt(max(centre, 1 / of))


def _sd_of_shares(whole: _Week, centre: float, of: int) -> float:
    """Of a binomial distribution, as if one at least, and not all, were expected."""
    share = min(1 - 1 / of, max(centre, 1 / of))
    return math.sqrt(share * (1 - share)) or 1.0


_MEASURES = (
    _Measure("mean score", lambda week: week.score_sum / week.images, lambda week: week.images, _sd_of_scores, 1.0),
    _Measure(
        "number of findings per image",
        lambda week: week.findings / week.images,
        lambda week: week.images,
        _sd_of_counts,
        math.inf,
    ),
    _Measure(
        "share of exams above the recall threshold",
        lambda week: week.exams_above / week.exams,
        lambda week: week.exams,
        _sd_of_shares,
        1.0,
    ),
)


@dataclass(frozen=True)
class _Usual:
    """What the baseline says of a measure: all of it as one week, the centre, and Laney's factor."""

    measure: _Measure
    whole: _Week
    centre: float
    factor: float

    def reach(self, of: int) -> float:
        """How far a mean of so many may be from the centre, which is itself an estimate."""
        sd = self.measure.sd(self.whole, self.centre, of)
        return _SIGMAS * self.factor * sd * math.sqrt(1 / of + 1 / self.measure.of(self.whole))


def drift(session: Session, now: float) -> tuple[Watched, ...]:
    """Every scanner, sender and bundle of the last WEEKS_SHOWN weeks: those that drift first, then by their images.

    Args:
        now: UTC seconds since the epoch; the week that is not over is shown and not judged.
    """
    this = week_of(now)
    rows: defaultdict[tuple[str, str, str], list[_Week]] = defaultdict(list)
    for scanner, source, bundle, *counted in session.execute(select(*_COLUMNS).order_by(ReadingWeek.week)):
        rows[scanner, source, bundle].append(_Week(*counted))
    watched = [
        (sum(row.images for row in weeks), _watched(key, weeks, this))
        for key, weeks in rows.items()
        if weeks[-1].week > this - WEEKS_SHOWN
    ]
    watched.sort(key=lambda entry: (not entry[1].drifts, -entry[0]))
    return tuple(entry for _, entry in watched)


def _watched(key: tuple[str, str, str], weeks: Sequence[_Week], this: int) -> Watched:
    over = [week for week in weeks if week.week < this and week.images >= LEAST_IMAGES]
    baseline = over[:BASELINE_WEEKS]
    courses = tuple(_courses(weeks, baseline, over[BASELINE_WEEKS:], this))
    return Watched(*key, courses, BASELINE_WEEKS - len(baseline))


def _courses(weeks: Sequence[_Week], baseline: Sequence[_Week], judged: Sequence[_Week], this: int) -> Iterator[Course]:
    of_judged = {week.week for week in judged}
    for measure in _MEASURES:
        usual = _usual(measure, [week for week in baseline if measure.of(week)])
        points = []
        for week in weeks:
            if week.week <= this - WEEKS_SHOWN or not measure.of(week):
                continue
            low = high = math.nan
            if usual is not None:
                reach = usual.reach(measure.of(week))
                low, high = max(0.0, usual.centre - reach), min(measure.top, usual.centre + reach)
            is_judged = usual is not None and week.week in of_judged
            of, is_over = measure.of(week), week.week < this
            points.append(Point(start_of(week.week), measure.value(week), of, low, high, is_judged, is_over))
        drifts = "" if usual is None else _drifts(measure.name, points, usual)
        yield Course(measure.name, tuple(points), None if usual is None else usual.centre, drifts)


def _usual(measure: _Measure, weeks: Sequence[_Week]) -> _Usual | None:
    """What is usual; None: the baseline is not complete."""
    if len(weeks) < BASELINE_WEEKS:
        return None
    whole = _Week(0, *(sum(column) for column in zip(*(week[1:] for week in weeks), strict=True)))
    centre = measure.value(whole)
    standard = [
        (measure.value(week) - centre) * math.sqrt(of) / measure.sd(whole, centre, of)
        for week in weeks
        if (of := measure.of(week))
    ]
    factor = fmean(abs(late - early) for early, late in pairwise(standard)) / _MEAN_OF_RANGE
    return _Usual(measure, whole, centre, max(1.0, factor))  # alike by chance is no reason for narrower limits


def _drifts(name: str, points: Sequence[Point], usual: _Usual) -> str:
    judged = [point for point in points if point.judged]
    if not judged:
        return ""
    last = judged[-1]
    if last.is_outside:
        day = datetime.fromtimestamp(last.start, UTC).date()
        return (
            f"the {name} was {last.value:.2f} in the week of {day}, and {last.low:.2f} to {last.high:.2f} is expected"
        )
    some = judged[-SUSTAINED:]
    of = sum(point.of for point in some)
    together = sum(point.value * point.of for point in some) / of
    if len(some) == SUSTAINED and abs(together - usual.centre) > usual.reach(of):
        return f"the {name} was {together:.2f} over the last {SUSTAINED} weeks, and {usual.centre:.2f} is usual"
    return ""
