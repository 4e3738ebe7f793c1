"""The reader's memory: what layers free is kept for the next ones, and given back when there is nothing to read.

glibc returns each large block to the system when it is freed, and the system clears the pages of the next one: a fifth
of the time that reading takes on a CPU. With another C library nothing is changed.
"""

from __future__ import annotations

import ctypes

# The parameters of mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 30
"""More than the largest blocks of a network that reads one image."""


def keep_freed_memory() -> None:
    """From now on this process keeps what it frees. Called in a process that reads, and in no other."""
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_parameter is not None:
        set_parameter(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        set_parameter(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def give_back_freed_memory() -> None:
    """Returns to the system what is freed and kept."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
