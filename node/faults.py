"""Faults of the machine that pass: whoever meets one waits and tries again, and blames no image and no study."""

from __future__ import annotations

import errno

from sqlalchemy.exc import OperationalError

PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
"""A disk that is full or does not answer."""


def passes(fault: BaseException) -> bool:
    """Whether the same work may succeed later: the disk is full, the database busy."""
    return isinstance(fault, OperationalError) or (isinstance(fault, OSError) and fault.errno in PASSING)
