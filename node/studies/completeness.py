"""When a study is complete: four rules, tried in order, each with a sentence that `status` shows. Pure.

1. Four views (left and right, CC and MLO) are there, and a short quiet has passed.
2. The source was asked how many instances it holds (C-FIND), all have come, and a short quiet has passed.
   While it holds more than has come, the quiet period does not close the study.
3. Nothing has come for the quiet period.
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
    """What has come of a study.

    Attributes:
        views: (laterality, view) of its full-field images that are read.
        count: its instances here.
        expected: the source's own count; None where it was not asked or did not answer.
        opened_at: when the first image of this revision came.
        last_at: when the last instance came.
    """

    views: frozenset[tuple[Laterality, str]]
    count: int
    expected: int | None
    opened_at: float
    last_at: float


@dataclass(frozen=True)
class Wait:
    """`until`: when it ends if nothing more comes."""

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
    return Wait("more images may come: quiet period", min(quiet, deadline))
