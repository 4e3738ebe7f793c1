"""Jobs: claimed under a lease, finished under a fencing token.

A row stays while its job runs. A worker that dies lets its lease run out (or its supervisor gives the lease back), and
the job is claimed again with a greater token; the worker that comes late with the old token changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from node.store.states import JobKind, JobState, moving
from node.store.tables import Job, Study

OVERDUE_S = 3600.0
"""So long after its last try a job goes before new ones."""


class LeaseLost(Exception):
    """Another worker holds this job now, or it was cancelled: its results must not be stored."""


@dataclass(frozen=True)
class Claim:
    """The right to do one job until its lease runs out.

    Attributes:
        attempts: how often the job was claimed, this time included.
        faults: how often faults of the machine put it off before.
        token: proves the right when the job is finished.
    """

    job_id: int
    study_id: int
    instance_id: int | None
    revision: int
    attempts: int
    faults: int
    token: int


def claim(
    session: Session,
    kind: JobKind,
    worker: str,
    now: float,
    lease_s: float,
    limit: int = 1,
    *,
    untried: bool = False,
) -> list[Claim]:
    """Claims up to `limit` due jobs of a kind, by their turn: urgent ones first, and the oldest of these (urgency.py).

    Jobs that were never tried come first, together. A job that was tried before is claimed alone, so that an image that
    crashes the reader neither fails nor delays others; OVERDUE_S after its last try it comes first, so that it does not
    starve, however urgent or old it is. A report waits for the last reading of its study.

    Args:
        untried: claim only jobs that were never tried.
    """
    fresh = and_(Job.state == JobState.WAITING, Job.attempts == 0)
    if untried:
        return _take(session, kind, worker, now, lease_s, limit, fresh)
    return (
        _take(session, kind, worker, now, lease_s, 1, _tried(now - OVERDUE_S))
        or _take(session, kind, worker, now, lease_s, limit, fresh)
        or _take(session, kind, worker, now, lease_s, 1, _tried(now))
    )


def _tried(by: float) -> ColumnElement[bool]:
    """Jobs whose last try has ended by this time."""
    given_back = and_(Job.state == JobState.WAITING, Job.next_at <= by)
    lease_ran_out = and_(Job.state == JobState.RUNNING, Job.lease_until < by)
    return and_(or_(given_back, lease_ran_out), Job.attempts > 0)


def _take(
    session: Session, kind: JobKind, worker: str, now: float, lease_s: float, limit: int, free: ColumnElement[bool]
) -> list[Claim]:
    reading = aliased(Job)
    unread = exists().where(
        reading.study_id == Job.study_id,
        reading.kind == JobKind.READ_IMAGE,
        reading.state.in_([JobState.WAITING, JobState.RUNNING]),
    )
    ready = free if kind is JobKind.READ_IMAGE else and_(free, ~unread)
    due = and_(Job.kind == kind, Job.next_at <= now, ready)
    candidates = select(Job.id).where(due).order_by(Job.turn, Job.id).limit(limit)
    # Apart from the UPDATE, so that PostgreSQL evaluates it once, and no more than `limit` jobs are locked.
    free_now = candidates.with_for_update(of=Job, skip_locked=True).cte("free_now")
    rows = session.execute(
        moving(Job.state, [JobState.WAITING, JobState.RUNNING], JobState.RUNNING)
        .where(Job.id.in_(select(free_now.c.id)))
        .values(
            worker=worker,
            token=Job.token + 1,
            attempts=Job.attempts + 1,
            lease_until=now + lease_s,
        )
        .returning(Job.id, Job.study_id, Job.instance_id, Job.revision, Job.attempts, Job.faults, Job.token, Job.turn)
        .execution_options(synchronize_session=False)
    )
    by_turn = sorted(rows, key=lambda row: (row[-1], row[0]))
    return [Claim(*held) for *held, _ in by_turn]


def next_due(session: Session, kind: JobKind, after: float) -> float | None:
    """The earliest time later than `after` at which a job of a kind may be claimed, because its wait or its lease is
    over; None: there is none."""
    waits = select(func.min(Job.next_at)).where(Job.kind == kind, Job.state == JobState.WAITING, Job.next_at > after)
    leases = select(func.min(Job.lease_until)).where(
        Job.kind == kind, Job.state == JobState.RUNNING, Job.lease_until > after
    )
    times = (session.scalar(waits), session.scalar(leases))
    return min((time for time in times if time is not None), default=None)


def renew(session: Session, claims: list[Claim], now: float, lease_s: float) -> None:
    """Renews the leases of the jobs. A lost lease is detected when the job is finished."""
    for held in claims:
        session.execute(update(Job).where(_holds(held)).values(lease_until=now + lease_s))


def finish(session: Session, held: Claim, state: Literal[JobState.DONE, JobState.FAILED], error: str = "") -> None:
    """Ends a job within the transaction that stores its outcome.

    Raises:
        LeaseLost: the claim does not hold any more; the transaction must be rolled back.
    """
    _release(session, held, state, {Job.error: error})


def wait_again(session: Session, held: Claim) -> None:
    """Puts a job that must wait for another one back into the queue; no attempt is counted.

    Raises:
        LeaseLost: as for `finish`.
    """
    _release(session, held, JobState.WAITING, {Job.attempts: Job.attempts - 1})


def put_off(session: Session, held: Claim, error: str, until: float) -> None:
    """Puts a job off after a fault of the machine, as if its study arrived at `until`; no attempt is counted.

    Raises:
        LeaseLost: as for `finish`.
    """
    hindered = {
        Job.attempts: Job.attempts - 1,
        Job.faults: Job.faults + 1,
        Job.next_at: until,
        Job.turn: until - session.get_one(Study, held.study_id).urgency.head_start_s,
        Job.error: error,
    }
    _release(session, held, JobState.WAITING, hindered)


def give_back(session: Session, worker: str, now: float, *, counts: bool) -> int:
    """Puts the jobs that `worker` holds back into the queue; returns their number.

    `counts` is False where the worker was told to stop: that was no fault of its jobs, and is no attempt.
    """
    return _give_back(session, and_(Job.worker == worker, Job.state == JobState.RUNNING), now, counts)


def give_back_claims(session: Session, claims: Sequence[Claim], now: float, *, counts: bool) -> int:
    """Like `give_back` for some of a worker's jobs; those that it does not hold any more are left as they are."""
    return sum(_give_back(session, _holds(held), now, counts) for held in claims)


def _give_back(session: Session, held: ColumnElement[bool], now: float, counts: bool) -> int:
    tried: dict[InstrumentedAttribute[Any], object] = {Job.next_at: now} if counts else {Job.attempts: Job.attempts - 1}
    returned = session.execute(
        moving(Job.state, [JobState.RUNNING], JobState.WAITING)
        .where(held)
        .values({Job.worker: None, Job.lease_until: None, **tried})
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    return len(returned.all())


def _release(session: Session, held: Claim, state: JobState, values: dict[InstrumentedAttribute[Any], object]) -> None:
    # The study before its jobs, as whoever receives an image of it: two transactions never wait for each other.
    session.execute(select(Study.id).where(Study.id == held.study_id).with_for_update())
    outcome = session.execute(
        moving(Job.state, [JobState.RUNNING], state)
        .where(_holds(held))
        .values({Job.worker: None, Job.lease_until: None, **values})
        .returning(Job.id)
    )
    if outcome.first() is None:
        raise LeaseLost(f"job {held.job_id}: claimed anew or cancelled")


def _holds(held: Claim) -> ColumnElement[bool]:
    return and_(Job.id == held.job_id, Job.token == held.token, Job.state == JobState.RUNNING)
