"""File descriptors: how many this process may have, and how many associations that makes.

A node that runs out of them can open neither its database nor an image; so connections are limited to what there is.
"""

from __future__ import annotations

import resource

_EACH = 5
"""Of one association: its socket, the two ends of its wake-up pipe, the file that is received, and the stored one when
that is compared."""
_OTHERS = 160
"""Connections that have not associated (32), the database (45), HL7 (32), and the rest of the node (51)."""
_ENOUGH = 1 << 20  # some systems call "unlimited" what they do not let one have


def raise_limit() -> int:
    """Lets this process and its children have as many descriptors as they may; says how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit(), hard))
    return hard_limit()


def hard_limit() -> int:
    """How many descriptors a process of this user may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)


def associations_for(descriptors: int) -> int:
    """How many associations at once go with so many descriptors; one at least."""
    return max(1, (descriptors - _OTHERS) // _EACH)


def descriptors_for(associations: int) -> int:
    """How many descriptors so many associations at once need."""
    return _OTHERS + _EACH * associations
