"""What does not fit in memory is done in halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from models.protocols import OutOfMemory

In = TypeVar("In")
Out = TypeVar("Out")


def in_halves(work: Callable[[Sequence[In]], list[Out]], items: Sequence[In]) -> list[Out]:
    """`work` on all items at once or, if they do not fit in memory, on one half after the other.

    Raises:
        OutOfMemory: a single item does not fit.
    """
    if not items:
        return []
    try:
        return work(items)
    except OutOfMemory:
        if len(items) == 1:
            raise
    half = len(items) // 2
    return in_halves(work, items[:half]) + in_halves(work, items[half:])
