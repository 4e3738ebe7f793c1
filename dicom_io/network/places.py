"""Limits the number of connections, in total and per address. An idle connection gives way to a new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

Holder = TypeVar("Holder")


class NoPlace(Exception):
    """The limit, in total or of this address, is reached, and no holder is idle."""


@dataclass
class _Seat:
    address: str
    waits: bool


@dataclass
class Places(Generic[Holder]):
    """The holders of places. If no place is left, the holder that has been idle longest loses its place to a new one:
    one of the same address if that has reached its limit, else one of the address with the most holders. Thread-safe.

    Attributes:
        most: number of places.
        most_per_address: number of places for one address.
        own: the number for addresses that have one of their own.
    """

    most: int
    most_per_address: int
    own: Mapping[str, int] = field(default_factory=dict)
    _seats: dict[Holder, _Seat] = field(default_factory=dict)  # in order of their last change
    _lock: Lock = field(default_factory=Lock)

    def take(self, holder: Holder, address: str, *, waits: bool = False) -> Holder | None:
        """Gives `holder` a place. Returns the holder that lost its place for it, if any. With `waits`, it is idle
        itself.

        Raises:
            NoPlace: no place is free, and no holder is idle.
        """
        with self._lock:
            of_each = Counter(seat.address for seat in self._seats.values())
            leaves = None
            same_address_only = of_each[address] >= self.own.get(address, self.most_per_address)
            if same_address_only or len(self._seats) >= self.most:
                idle = [
                    other
                    for other, seat in self._seats.items()
                    if seat.waits and (not same_address_only or seat.address == address)
                ]
                if not idle:
                    raise NoPlace
                leaves = max(idle, key=lambda other: of_each[self._seats[other].address])
                del self._seats[leaves]
            self._seats[holder] = _Seat(address, waits)
            return leaves

    def note(self, holder: Holder, *, waits: bool) -> None:
        """Sets whether a holder is idle. No effect if it has lost its place."""
        with self._lock:
            seat = self._seats.pop(holder, None)
            if seat is not None:
                self._seats[holder] = _Seat(seat.address, waits)

    def leave(self, holder: Holder) -> None:
        """Releases the place of `holder`, if it has one."""
        with self._lock:
            self._seats.pop(holder, None)
