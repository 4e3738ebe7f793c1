"""What is refused again and again is counted: a flood of it must not fill the disk.

The first refusal of an address for a reason is entered at once. While it goes on, one event states how many there were
since, after a minute, then after twice as long each time, up to an hour. No more than MOST addresses and reasons are
told apart; all others together are one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from dicom_io.audit.codes import NODE_AUTHENTICATION, Coded
from models.types.words import counted
from node.audit.refused_callers import count_refused
from node.audit.security_events import enter_refused
from node.store.database import Sessions

MOST = 100
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 3600.0
_OTHERS = "other addresses"


@dataclass
class _Seen:
    due_at: float
    wait_s: float = FIRST_WAIT_S
    times: int = 0
    said: str = ""


@dataclass
class Refusals:
    """Counts refusals, and enters them. Thread-safe; `note` never waits for the database.

    Attributes:
        now: UTC seconds since the epoch.
    """

    now: Callable[[], float]
    kind: Coded = NODE_AUTHENTICATION
    _seen: dict[tuple[str, str], _Seen] = field(default_factory=dict, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    def note(self, address: str, reason: str, says: str) -> None:
        """Counts a refusal.

        Args:
            reason: of what kind it is; the same for all of a kind, however a caller names itself.
            says: in words; of several the last is entered.
        """
        key = address, reason
        with self._turn:
            if key not in self._seen and len(self._seen) >= MOST:
                key = _OTHERS, "refused"
            seen = self._seen.setdefault(key, _Seen(self.now()))
            seen.times += 1
            seen.said = says

    def enter_due(self, sessions: Sessions, *, all_of_them: bool = False) -> None:
        """Enters what is due; `all_of_them`: also what is not, when the process ends."""
        now = self.now()
        with self._turn:
            due = [
                (key[0], seen) for key, seen in self._seen.items() if seen.times and (all_of_them or now >= seen.due_at)
            ]
            told = [(address, seen.said, seen.times) for address, seen in due]
            for _, seen in due:
                seen.times, seen.due_at = 0, now + seen.wait_s
                seen.wait_s = min(LONGEST_WAIT_S, 2 * seen.wait_s)
            for key in [key for key, seen in self._seen.items() if not seen.times and now >= seen.due_at + seen.wait_s]:
                del self._seen[key]  # it has ended
        if told:
            with sessions.begin() as session:
                for address, said, times in told:
                    count_refused(session, address, said, times, now)
                    says = said if times == 1 else f"{said} ({counted(times, 'refusal')})"
                    enter_refused(session, self.kind, address, says, now)
