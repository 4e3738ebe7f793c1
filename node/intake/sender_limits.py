"""The limits of each sender: objects a minute, and the share of the room that may be used before it is refused.

How many associations it may have at once is decided where it associates (dicom_io/network/scp_gate.py). Who is refused
may send again later, and is answered then as if nothing had been: nothing of it was stored.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from config.peers import Sender
from dicom_io.network.answers import Answer, Status
from node.archive.space import Space
from node.intake.limited_senders import enter_limited_senders
from node.store.clock import steady
from node.store.database import Sessions

ASSOCIATIONS, OBJECTS, SHARE = "max_associations", "max_objects_per_minute", "max_disk_share"


@dataclass
class _Rate:
    """Objects that a sender may send now; they grow with time up to those of a minute."""

    a_minute: int
    left: float
    at: float

    def take(self, now: float) -> bool:
        self.left = min(self.a_minute, self.left + (now - self.at) * self.a_minute / 60)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass
class SenderLimits:
    """Refuses objects of senders that reached a limit of their own, and counts all such refusals. Thread-safe.

    Attributes:
        space: the room for images.
        now: seconds of a steady clock.
    """

    senders: Sequence[Sender]
    space: Space
    now: Callable[[], float] = steady
    _rates: dict[str, _Rate] = field(default_factory=dict, init=False)
    _shares: dict[str, float] = field(default_factory=dict, init=False)
    _refused: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        for sender in self.senders:
            if (most := sender.max_objects_per_minute) is not None:
                self._rates[sender.ae_title] = _Rate(most, most, self.now())
            if sender.max_disk_share is not None:
                self._shares[sender.ae_title] = sender.max_disk_share

    def refusal(self, calling_ae_title: str) -> Answer | None:
        """The answer to a sender that reached a limit; None: it may send one object more.

        Raises:
            OSError: the disk does not answer.
        """
        share = self._shares.get(calling_ae_title)
        if share is not None and self.space.share_used() >= share:
            self._count(calling_ae_title, SHARE)
            return Answer(Status.NO_SPACE, "no room left for this sender (max_disk_share)")
        rate = self._rates.get(calling_ae_title)
        if rate is None:
            return None
        with self._lock:
            may = rate.take(self.now())
        if not may:
            self._count(calling_ae_title, OBJECTS)
            return Answer(Status.NO_SPACE, "too many objects a minute of this sender: send again later")
        return None

    def at_association_limit(self, calling_ae_title: str) -> None:
        """Called when an association was rejected because the sender has as many as it may."""
        self._count(calling_ae_title, ASSOCIATIONS)

    def _count(self, calling_ae_title: str, limit: str) -> None:
        with self._lock:
            self._refused[calling_ae_title, limit] += 1

    def store(self, sessions: Sessions, now: float) -> None:
        """Adds what was counted since the last time to the rows; as a tick, so that a sender that is refused a thousand
        times a second costs no more than one that is refused once.

        Args:
            now: UTC seconds since the epoch.
        """
        with self._lock:
            refused, self._refused = self._refused, Counter()
        if not refused:
            return
        try:
            with sessions.begin() as session:
                enter_limited_senders(session, refused, now)
        except BaseException:
            with self._lock:
                self._refused += refused
            raise
