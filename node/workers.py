"""Gives back the jobs of processes that have ended: on any machine, soon, and not only when their leases run out."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.types.words import counted
from node.parts import life_of
from node.store.locks import Locks
from node.store.queue import give_back
from node.store.states import JobState
from node.store.tables import ActorPoolState, Job

log = logging.getLogger(__name__)


FREE_FOR_S = 10.0
"""A process that lives takes its lock again within seconds after the database was away."""


class Ended:
    """Which processes have ended: their locks were found free, and again after 10 s."""

    def __init__(self, locks: Locks, own: str, steady: Callable[[], float]) -> None:
        """`own`: the name of this process, which has not ended; `steady`: seconds of a clock that nobody sets."""
        self._locks = locks
        self._own = own
        self._steady = steady
        self._free_since: dict[str, float] = {}

    def has(self, worker: str) -> bool:
        """Whether the process of a worker has ended. One of an earlier version, without a process in its name, has:
        none runs beside this version (node/archive/lock.py)."""
        process = worker.partition("@")[2]
        if not process:
            return True
        if process == self._own or not self._locks.is_free(life_of(process)):
            self._free_since.pop(process, None)
            return False
        return self._steady() - self._free_since.setdefault(process, self._steady()) >= FREE_FOR_S


def give_back_of_the_ended(session: Session, ended: Ended, now: float) -> None:
    """Puts the jobs whose worker's process has ended back into the queue (give_back_of_one). Forgets its actors.

    Args:
        now: UTC seconds since the epoch.
    """
    busy = select(Job.worker).where(Job.state == JobState.RUNNING, Job.worker.is_not(None)).distinct()
    for worker in session.scalars(busy.union(select(ActorPoolState.worker))).all():
        if worker is None or not ended.has(worker):
            continue
        if count := give_back_of_one(session, worker, now):
            log.warning("%s ended with %s claimed: given back", worker, counted(count, "job"))


def give_back_of_one(session: Session, worker: str, now: float) -> int:
    """Puts the jobs of a worker whose process has ended back into the queue; returns their number. Forgets its actors.

    An attempt is counted, but not for images that were read on a cluster: they did not end that process.
    """
    actors = session.get(ActorPoolState, worker)
    if actors is not None:
        session.delete(actors)
    return give_back(session, worker, now, counts=actors is None)
