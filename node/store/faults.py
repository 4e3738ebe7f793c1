"""Temporary faults of the machine: the job that meets one is postponed and retried; it is no fault of an image or
study.

A disk that is full or does not answer, a network file system that is away, no descriptor or no memory left, a database
that is busy. The work goes to the back of its queue and waits, twice as long each time (exponential backoff); other
work goes on.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from models.types.words import counted
from node.store.sqlstates import Meaning, meaning

PASSING = frozenset(
    {
        # the disk
        errno.EIO,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.ENXIO,
        errno.ENODEV,
        # a network file system
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EREMOTEIO,
        errno.ENOLCK,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        # descriptors, memory, processes
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EAGAIN,
        errno.EBUSY,
    }
)
"""Error numbers of faults that do not concern the file itself."""


@dataclass(frozen=True)
class FaultPolicy:
    """Number of tries and backoff for a job that meets faults of the machine.

    Attributes:
        tries: with the first; after these it is given up, and `mammo-node retry` takes it up again.
        first_s: the first wait; each is twice the one before.
    """

    tries: int = 10
    first_s: float = 5.0

    def again_at(self, faults: int, now: float) -> float | None:
        """The time of the next try after fault number `faults` (1, 2, …); None: the job fails."""
        if faults >= self.tries:
            return None
        return now + self.first_s * 2.0 ** (faults - 1)


FAULT_POLICY = FaultPolicy()

RAISED_AS = (OSError, DBAPIError, NoConnectionFree, MemoryError)
"""Types of exceptions for temporary faults of the machine; `is_passing` decides."""


def is_passing(fault: BaseException) -> bool:
    """Whether the fault is a temporary one of the machine, so that a retry may succeed."""
    if isinstance(fault, OSError):
        return fault.errno in PASSING
    if isinstance(fault, DBAPIError):
        return meaning(fault) is not Meaning.LASTING
    return isinstance(fault, RAISED_AS)


def describe_fault(fault: BaseException) -> str:
    """A temporary fault in words, without a path or a row: `Input/output error (EIO)`."""
    if isinstance(fault, OSError) and fault.errno is not None:
        return f"{os.strerror(fault.errno)} ({errno.errorcode.get(fault.errno, fault.errno)})"
    if isinstance(fault, MemoryError):
        return "not enough memory"
    if isinstance(fault, DBAPIError):
        return f"the database: {str(fault.orig).partition(chr(10))[0]}"
    return f"the database does not answer ({type(fault).__name__})"


def given_up(faults: int, reason: str) -> str:
    """The error of a job that failed after `faults` faults of the machine, the last for `reason` (`describe_fault`)."""
    return f"the machine failed {counted(faults, 'time')}, {reason}: mend that, then retry"
