"""The pace of sending: no more bytes in a second than a link is to carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

PIECE = 16_384
"""Bytes that are sent without a pause."""


@dataclass
class Pace:
    """Spreads bytes evenly. Not thread-safe: of one connection at a time.

    Attributes:
        bytes_per_s: the limit.
        clock: seconds, never set back.
        pause: waits for seconds; it may end before, where the program stops: then the rest is sent at once.
    """

    bytes_per_s: float
    clock: Callable[[], float]
    pause: Callable[[float], object]
    _free_at: float = field(default=0.0, init=False)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yields the data in pieces, each when those before it have had their time."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            now = self.clock()
            if now < self._free_at:
                self.pause(self._free_at - now)
            self._free_at = max(now, self._free_at) + len(piece) / self.bytes_per_s
            yield piece
