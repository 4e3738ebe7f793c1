"""The locks that show that this process of several lives, and keeps to the schema that it began with."""

from __future__ import annotations

import logging
import threading

from sqlalchemy.exc import TimeoutError as NoTurn

from node.parts import life_of
from node.store.advisory import AT_WORK
from node.store.database import QueueUnusable, must_be_current
from node.store.faults import RAISED_AS, is_passing
from node.store.locks import Locks

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


def begin_to_live(locks: Locks) -> None:
    """Takes the locks by which others see that this process has not ended, and that no newer version may change the
    schema.

    Raises:
        QueueUnusable: one has changed it, or does so now.
        DBAPIError, NoTurn: the database does not answer, only reads, or has not noticed yet that an earlier connection
            of this process is closed.
    """
    if not locks.take(life_of(locks.name)):  # no other process has this name
        raise NoTurn("an earlier connection of this process is not closed yet")
    if not locks.share(AT_WORK):
        raise QueueUnusable("The queue is being brought up to date by another mammo-node: start again when it is done.")
    must_be_current(locks.sessions.kw["bind"])


def stay_alive(locks: Locks, stop: threading.Event) -> None:
    """Keeps these locks, also after the database was away, hung or only read, until `stop` is set.

    Raises:
        QueueUnusable: a newer version has changed the schema meanwhile, or does so now.
    """
    while not stop.wait(LOOK_EVERY_S):
        try:
            if not locks.never_lost(life_of(locks.name)):
                begin_to_live(locks)
        except QueueUnusable as error:
            log.error("this process may not go on: %s", error)
            raise
        except RAISED_AS as fault:
            if not is_passing(fault):
                raise
