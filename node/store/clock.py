"""Handles changes of the wall clock: deadlines in the database are times of that clock, and are moved with it.

So nothing waits for an hour when the clock is set back by an hour, and no study is closed early and no delivery given
up when it is set forward. Pure but for the clocks that are arguments.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, ScalarSelect, and_, case, not_, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from node.store.states import DeliveryState, JobState, StudyState
from node.store.tables import Delivery, Job, Notice, Result, Study

TOLERANCE_S = 2.0
"""A smaller difference is not a changed clock but drift, or a delay of this thread."""
LONGEST_WAIT_S = 3600.0
"""Of a delivery after a start, whatever its row says."""
_OPEN = Study.state == StudyState.OPEN
_UNDELIVERED = Delivery.state.in_([DeliveryState.WAITING, DeliveryState.UNCOMMITTED])
_UNTOLD = Notice.state == DeliveryState.WAITING
_WAITS = or_(
    Study.state.in_([StudyState.OPEN, StudyState.CLOSED]),
    Study.id.in_(select(Result.study_id).join(Delivery, Delivery.result_id == Result.id).where(_UNDELIVERED)),
)
"""Something of the study waits, and goes by the study's turn."""
_HEAD_START_S = select(Study.head_start_s).where(Study.id == Job.study_id).scalar_subquery()
_UNFINISHED = Job.state.in_([JobState.WAITING, JobState.RUNNING])


def steady() -> float:
    """Seconds of a clock that cannot be set and that includes suspend time."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass
class ClockWatch:
    """Compares the wall clock with a steady one, from when it is made.

    Attributes:
        wall: UTC seconds since the epoch.
        steady: seconds on a clock that nobody sets.
    """

    wall: Callable[[], float]
    steady: Callable[[], float]
    _offset: float = field(init=False)
    _looked_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._offset, self._looked_at = self._look()

    def set_by(self) -> float:
        """The seconds by which the wall clock was set since `accept`; 0 if it was not."""
        offset, looked_at = self._look()
        moved = offset - self._offset
        if abs(moved) >= TOLERANCE_S:
            return moved
        self._offset, self._looked_at = offset, looked_at
        return 0.0

    def since_s(self) -> float:
        """Seconds since the clocks last agreed."""
        return self.steady() - self._looked_at

    def accept(self, moved: float) -> None:
        """From now on, compares with the current wall clock."""
        self._offset += moved

    def _look(self) -> tuple[float, float]:
        while True:
            before, wall, after = self.steady(), self.wall(), self.steady()
            if after - before < TOLERANCE_S / 4:
                return wall - after, after


def follow(session: Session, moved: float, now: float, since_s: float) -> None:
    """Moves the times in unfinished rows by `moved` seconds, like the wall clock.

    Args:
        now: by the clock as it is now.
        since_s: times within so many seconds before `now` may be of the clock as it is now, and stay.
    """

    def set_past(
        column: InstrumentedAttribute[float],
        *unfinished: ColumnElement[bool],
        later_s: ColumnElement[float] | ScalarSelect[float] | float = 0.0,
    ) -> None:
        """`later_s`: by how much the time that the row states is later than what the column holds."""
        of_the_clock_before = not_((column + later_s).between(now - since_s, now))
        session.execute(update(column.class_).where(of_the_clock_before, *unfinished).values({column: column + moved}))

    def set_future(column: InstrumentedAttribute[float], *unfinished: ColumnElement[bool]) -> None:
        # One that lies ahead although the clock was set forward is of the clock as it is now, or far enough ahead.
        of_the_clock_before = column < now if moved > 0 else column > now
        set_now = case((column + moved < now, now), else_=column + moved) if moved < 0 else column + moved
        session.execute(update(column.class_).where(of_the_clock_before, *unfinished).values({column: set_now}))

    set_past(Study.opened_at, _WAITS)
    set_past(Study.last_received_at, _OPEN)
    session.execute(update(Study).where(_OPEN).values(decide_at=0.0))
    set_future(Job.next_at, Job.state == JobState.WAITING, Job.next_at > 0)
    set_past(Job.turn, _UNFINISHED, later_s=_HEAD_START_S)
    held = Job.state == JobState.RUNNING
    still_held = and_(held, Job.lease_until < now if moved > 0 else Job.lease_until + moved >= now)
    session.execute(update(Job).where(still_held).values(lease_until=Job.lease_until + moved))
    set_past(Delivery.created_at, _UNDELIVERED)
    set_future(Delivery.next_at, _UNDELIVERED)
    set_past(Notice.created_at, _UNTOLD)
    set_future(Notice.next_at, _UNTOLD)


def resume(session: Session, now: float) -> None:
    """At a start: the clock may have been set back while the node was down. Shortens waits that this made longer."""
    session.execute(update(Study).where(Study.opened_at > now).values(opened_at=now))
    session.execute(update(Study).where(_OPEN, Study.last_received_at > now).values(last_received_at=now))
    session.execute(update(Study).where(_OPEN).values(decide_at=0.0))  # the settings may have changed
    session.execute(update(Job).where(Job.state == JobState.WAITING, Job.next_at > now).values(next_at=now))
    session.execute(update(Job).where(_UNFINISHED, Job.turn + _HEAD_START_S > now).values(turn=now - _HEAD_START_S))
    waiting = Delivery.state == DeliveryState.WAITING
    session.execute(update(Delivery).where(_UNDELIVERED, Delivery.created_at > now).values(created_at=now))
    latest = now + LONGEST_WAIT_S
    session.execute(update(Delivery).where(waiting, Delivery.next_at > latest).values(next_at=latest))
    session.execute(update(Notice).where(_UNTOLD, Notice.created_at > now).values(created_at=now))
    session.execute(update(Notice).where(_UNTOLD, Notice.next_at > latest).values(next_at=latest))
