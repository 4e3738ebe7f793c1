"""The limit of file descriptors, and the number of associations that it allows.

A node without free descriptors can open neither its database nor an image, so connections are limited by it.
"""

from __future__ import annotations

import resource

_EACH = 5
"""Of one association: its socket, the two ends of its wake-up pipe, the file that is received, and the stored one when
that is compared."""
_OTHERS = 160
"""Connections that have not associated (32), the database (45), HL7 (32), and the rest of the node (51)."""
_ENOUGH = 1 << 20  # some systems report "unlimited" but do not allow it


def raise_limit() -> int:
    """Raises the limit of this process and its children to the hard limit; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit(), hard))
    return hard_limit()


def hard_limit() -> int:
    """The hard limit of file descriptors for a process of this user."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)


def associations_for(descriptors: int) -> int:
    """The number of simultaneous associations for a number of descriptors; at least one."""
    return max(1, (descriptors - _OTHERS) // _EACH)


def descriptors_for(associations: int) -> int:
    """The number of descriptors for a number of simultaneous associations."""
    return _OTHERS + _EACH * associations
