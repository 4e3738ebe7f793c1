"""How many connections there may be, and how many of one address: nobody who says nothing keeps others out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

Holder = TypeVar("Holder")


class NoPlace(Exception):
    """All places are taken, or all of this address, and each by somebody who is at work."""


@dataclass
class _Seat:
    address: str
    waits: bool


@dataclass
class Places(Generic[Holder]):
    """Who holds a place. Where none is left, whoever has waited longest without a word makes way for a new one: of the
    same address where that has all it may have, else of the address that holds the most. Thread-safe.

    Attributes:
        most: places.
        most_of_one: of them for one address.
    """

    most: int
    most_of_one: int
    _seats: dict[Holder, _Seat] = field(default_factory=dict)  # the longest unchanged first
    _lock: Lock = field(default_factory=Lock)

    def take(self, holder: Holder, address: str, *, waits: bool = False) -> Holder | None:
        """Gives `holder` a place, and says who lost it for that, if anybody did. One that `waits` may be next.

        Raises:
            NoPlace: there is none.
        """
        with self._lock:
            of_each = Counter(seat.address for seat in self._seats.values())
            leaves = None
            if of_each[address] >= self.most_of_one or len(self._seats) >= self.most:
                own = of_each[address] >= self.most_of_one
                idle = [one for one, seat in self._seats.items() if seat.waits and (not own or seat.address == address)]
                if not idle:
                    raise NoPlace
                leaves = max(idle, key=lambda one: of_each[self._seats[one].address])
                del self._seats[leaves]
            self._seats[holder] = _Seat(address, waits)
            return leaves

    def note(self, holder: Holder, *, waits: bool) -> None:
        """Says whether a holder waits from now on, or is at work. Nothing, if it has lost its place."""
        with self._lock:
            seat = self._seats.pop(holder, None)
            if seat is not None:
                self._seats[holder] = _Seat(seat.address, waits)

    def leave(self, holder: Holder) -> None:
        """Gives a place back, if it is held."""
        with self._lock:
            self._seats.pop(holder, None)
