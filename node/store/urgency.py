"""How urgent a study is, and its turn in the queue. Pure.

Whatever waits (a reading, a report, a delivery) has its turn by the time at which its study arrived, less a head start
for its urgency. So an urgent study goes before the others, and nothing starves: what is older by more than the
difference of the head starts goes first, however many urgent studies arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Urgency(StrEnum):
    """The words of Requested Procedure Priority (0040,1003), PS3.3 section C.4.11; its MEDIUM is ROUTINE here."""

    LOW = "LOW"
    ROUTINE = "ROUTINE"
    HIGH = "HIGH"
    STAT = "STAT"

    @property
    def is_urgent(self) -> bool:
        """Whether it is more urgent than routine."""
        return self.head_start_s > 0

    @property
    def head_start_s(self) -> float:
        """By how many seconds the turn of such a study comes before its arrival; negative: after it."""
        return _HEAD_START_S[self]


_HEAD_START_S = {Urgency.LOW: -3600.0, Urgency.ROUTINE: 0.0, Urgency.HIGH: 3600.0, Urgency.STAT: 4 * 3600.0}
_WORDS = {
    **{urgency.value: urgency for urgency in Urgency},
    "MEDIUM": Urgency.ROUTINE,
    # HL7 version 2, table 0485, which some worklists copy into the attribute.
    "S": Urgency.STAT,
    "A": Urgency.HIGH,
    "ASAP": Urgency.HIGH,
    "URGENT": Urgency.HIGH,
    "R": Urgency.ROUTINE,
}


def in_words(stated: str) -> Urgency | None:
    """The urgency that a Requested Procedure Priority states; None if it is another word."""
    return _WORDS.get(stated.strip().upper())


def highest(stated: Iterable[Urgency | None]) -> Urgency | None:
    """The highest of what is stated; None if nothing is."""
    return max(
        (urgency for urgency in stated if urgency is not None),
        key=lambda urgency: urgency.head_start_s,
        default=None,
    )
