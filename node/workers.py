"""Gives back the jobs of processes that have ended: on any machine, soon, and not only when their leases run out."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.types.words import counted
from node.parts import life_of
from node.store.locks import Locks
from node.store.queue import give_back
from node.store.states import JobState
from node.store.tables import ActorPoolState, Job

log = logging.getLogger(__name__)


def give_back_of_the_ended(session: Session, locks: Locks, now: float) -> None:
    """Puts the jobs whose worker's process has ended back into the queue; an attempt is counted. Forgets its actors.

    Args:
        now: UTC seconds since the epoch.
    """
    busy = select(Job.worker).where(Job.state == JobState.RUNNING, Job.worker.is_not(None)).distinct()
    for worker in session.scalars(busy).all():
        if worker is not None and _has_ended(worker, locks):
            count = give_back(session, worker, now, counts=True)
            log.warning("%s ended with %s claimed: given back", worker, counted(count, "job"))
    for pool in session.scalars(select(ActorPoolState)).all():
        if _has_ended(pool.worker, locks):
            session.delete(pool)


def _has_ended(worker: str, locks: Locks) -> bool:
    """Whether the process of a worker has ended. One of an earlier version, without a process in its name, has: none
    runs beside this version (node/archive/lock.py)."""
    process = worker.partition("@")[2]
    return not process or locks.is_free(life_of(process))
