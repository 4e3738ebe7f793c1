"""The states of the queue's rows and the allowed transitions, which docs/architecture.md lists."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Update
    from sqlalchemy.orm import InstrumentedAttribute


class ImageOutcome(StrEnum):
    """What became of an image, as people are shown it; it follows from the image's row."""

    READ = "read"
    NOT_READ = "not read"
    WAITING = "waiting"


class StudyState(StrEnum):
    OPEN = "open"
    """Images may still arrive; those that have arrived are being read."""
    CLOSED = "closed"
    """Complete by the rules of studies/completeness.py; waits for its last readings and its report."""
    REPORTED = "reported"
    """Its results are written and entered in the outbox."""
    NOT_READ = "not-read"
    """No breast image in it: nothing is sent, `why` holds the reason."""
    QUARANTINED = "quarantined"
    """Identity or pixels contradict each other: nothing is sent until a person has checked."""


class JobKind(StrEnum):
    READ_IMAGE = "read-image"
    REPORT = "report"


class JobState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """Given up: its image is unreadable, or its report could not be written."""
    CANCELLED = "cancelled"
    """Not needed any more: its study was reopened or quarantined before it was reported."""


class DeliveryState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    """Stored by the destination, which is not asked for commitment."""
    UNCOMMITTED = "uncommitted"
    """Stored by the destination, which has not committed yet."""
    COMMITTED = "committed"
    """The destination has committed to keep it (storage commitment, PS3.4 Annex J)."""
    DEAD = "dead"
    """A dead letter: retried for as long as the settings say, or refused for good; `mammo-node retry` tries again."""


State = TypeVar("State", StudyState, JobState, DeliveryState)


class IllegalTransition(Exception):
    """A change of state that is not allowed."""


_STUDY = {
    StudyState.OPEN: {StudyState.CLOSED, StudyState.NOT_READ, StudyState.QUARANTINED},
    StudyState.CLOSED: {StudyState.OPEN, StudyState.REPORTED, StudyState.QUARANTINED},
    # REPORTED to CLOSED: a radiologist's assessment came, and the report is written anew with it.
    StudyState.REPORTED: {StudyState.OPEN, StudyState.CLOSED, StudyState.QUARANTINED},
    StudyState.NOT_READ: {StudyState.OPEN, StudyState.QUARANTINED},
    StudyState.QUARANTINED: {StudyState.OPEN},
}
_JOB = {
    JobState.WAITING: {JobState.RUNNING, JobState.CANCELLED},
    # RUNNING to RUNNING: its lease ran out, and another claim takes it.
    JobState.RUNNING: {JobState.RUNNING, JobState.DONE, JobState.FAILED, JobState.WAITING, JobState.CANCELLED},
    JobState.DONE: set[JobState](),
    JobState.FAILED: {JobState.WAITING, JobState.CANCELLED},
    JobState.CANCELLED: set[JobState](),
}
_DELIVERY = {
    DeliveryState.WAITING: {DeliveryState.SENT, DeliveryState.DEAD},
    # SENT and COMMITTED to WAITING: a person has it sent again.
    DeliveryState.SENT: {DeliveryState.UNCOMMITTED, DeliveryState.WAITING},
    # UNCOMMITTED to SENT: the destination does not commit, and is not asked any more.
    DeliveryState.UNCOMMITTED: {
        DeliveryState.COMMITTED,
        DeliveryState.WAITING,
        DeliveryState.DEAD,
        DeliveryState.SENT,
    },
    DeliveryState.COMMITTED: {DeliveryState.WAITING},
    DeliveryState.DEAD: {DeliveryState.WAITING},
}


def moved(old: State, new: State) -> State:
    """Returns `new` if the transition from `old` is allowed.

    Raises:
        IllegalTransition: the transition is not allowed.
    """
    if new not in _ways(old):
        raise IllegalTransition(f"{type(old).__name__}: {old} → {new}")
    return new


def moving(column: InstrumentedAttribute[State], old: Collection[State], new: State) -> Update:
    """An UPDATE that sets rows whose state (`column`) is one of `old` to `new`.

    Raises:
        IllegalTransition: one of these transitions is not allowed.
    """
    from sqlalchemy import update  # not above: the command line's help takes the enums from here

    for state in old:
        moved(state, new)
    return update(column.class_).where(column.in_(old)).values({column: new})


def _ways(state: StudyState | JobState | DeliveryState) -> set[StudyState] | set[JobState] | set[DeliveryState]:
    match state:
        case StudyState():
            return _STUDY[state]
        case JobState():
            return _JOB[state]
        case DeliveryState():
            return _DELIVERY[state]
