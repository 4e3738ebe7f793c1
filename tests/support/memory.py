"""The memory that code allocates."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def assert_allocates_at_most(most_bytes: int) -> Iterator[None]:
    """The code within never allocates more than `most_bytes` of Python's memory at once."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most_bytes
