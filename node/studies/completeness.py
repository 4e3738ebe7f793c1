"""When a study is complete: four rules, tried in order, each with a sentence that `status` shows. Pure.

1. Four views (left and right, CC and MLO) are there, and no instance has arrived for a short quiet period.
2. The source was queried how many instances it holds (C-FIND), all have arrived, and a short quiet period has passed.
   While it holds more than have arrived, rule 3 does not close the study.
3. No instance has arrived for the quiet period.
4. The deadline has passed since the revision's first image: the study is closed as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.readings.exam import FOUR_VIEWS
from models.types.mammogram import Laterality


@dataclass(frozen=True)
class Ladder:
    """Seconds; see config.settings.Closing."""

    four_views_quiet_s: float
    quiet_s: float
    deadline_s: float


@dataclass(frozen=True)
class Arrivals:
    """The received instances of a study.

    Attributes:
        views: (laterality, view) of the full-field images that are read.
        count: number of received instances.
        expected: the source's count; None if it was not queried or did not answer.
        opened_at: arrival of the first image of this revision, s.
        last_at: arrival of the last instance, s.
    """

    views: frozenset[tuple[Laterality, str]]
    count: int
    expected: int | None
    opened_at: float
    last_at: float


@dataclass(frozen=True)
class Wait:
    """`until`: the end of the wait if no more instances arrive."""

    why: str
    until: float


@dataclass(frozen=True)
class Close:
    why: str


def closing(arrivals: Arrivals, ladder: Ladder, now: float) -> Wait | Close:
    """Whether the study is complete at `now`, and why (not)."""
    deadline = arrivals.opened_at + ladder.deadline_s
    if now >= deadline:
        return Close("the deadline has passed")
    short_quiet = arrivals.last_at + ladder.four_views_quiet_s
    if arrivals.views >= FOUR_VIEWS:
        if now >= short_quiet:
            return Close("four views are there")
        return Wait("four views are there: a short quiet", min(short_quiet, deadline))
    if arrivals.expected is not None:
        if arrivals.count < arrivals.expected:
            lacking = f"{arrivals.count} of the {arrivals.expected} instances that the source holds have come"
            return Wait(lacking, deadline)
        if now >= short_quiet:
            return Close("all instances that the source holds have come")
        return Wait("all instances that the source holds have come: a short quiet", min(short_quiet, deadline))
    quiet = arrivals.last_at + ladder.quiet_s
    if now >= quiet:
        return Close("nothing more has come in the quiet period")
    return Wait("quiet period", min(quiet, deadline))
