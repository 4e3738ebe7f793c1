"""Do two files hold the same pixels? Decoded in a process of its own: no codec runs where images are received.

The native codecs are written in C and Rust and get what a peer sends. One that brings down its process, or never comes
back, must not take the node with it (safety rule 11).
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dicom_io.errors import NotReadable
from dicom_io.pixels.decoding import read_dataset, stored_values

# Exit statuses that nothing else ends with: a codec that calls exit(0) has not compared anything.
_SAME, _OTHER, _NOT_ENOUGH_MEMORY = 64, 65, 75


@dataclass(frozen=True)
class PixelComparison:
    """Compares the decoded values of two files, one pair after another.

    Attributes:
        max_pixels: images with more samples are refused by their header.
        timeout_s: after this long a comparison counts as failed.
    """

    max_pixels: int
    timeout_s: float = 120.0
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def is_same(self, one: Path, other: Path) -> bool:
        """Whether both files decode to the same values. What cannot be decoded cannot be shown to be the same.

        Raises:
            MemoryError: this machine does not hold them now.
        """
        with self._one_at_a_time:
            child = multiprocessing.get_context("spawn").Process(
                target=_compare, args=(one, other, self.max_pixels), name="pixel-comparison"
            )
            child.start()
            child.join(self.timeout_s)
            if child.is_alive():
                child.kill()
                child.join()
        if child.exitcode == _NOT_ENOUGH_MEMORY:
            raise MemoryError
        return child.exitcode == _SAME


def _compare(one: Path, other: Path, max_pixels: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the node ends its own
    try:
        before = stored_values(read_dataset(one, max_pixels)).values
        after = stored_values(read_dataset(other, max_pixels)).values
    except NotReadable:
        sys.exit(_OTHER)
    except MemoryError:
        sys.exit(_NOT_ENOUGH_MEMORY)
    sys.exit(_SAME if np.array_equal(before, after) else _OTHER)
