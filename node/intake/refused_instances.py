"""Instances that the node did not take: a line of the log at once, then one a minute that counts; and rows.

A sender that sends a thousand bad objects a second costs no more than one that sends one.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from dicom_io.network.answers import Answer, Status
from node.intake.limited_senders import enter_limited_senders, refusals_of_senders
from node.store.database import Sessions

log = logging.getLogger(__name__)

LOGGED_EVERY_S = 60.0
_MEANINGS = {
    Status.PROCESSING_FAILURE: "a fault of the node",
    Status.NO_SPACE: "no room, or a limit of the sender",
    Status.NO_STORAGE: "the node could not store it",
    Status.TOO_LARGE: "larger than max_image_mb",
    Status.DOES_NOT_MATCH: "the request names another object than the data set",
    Status.NOT_DICOM: "no data set in the agreed transfer syntax",
    Status.TRUNCATED: "cut short",
    Status.BAD_UID: "a UID is missing or malformed",
    Status.CONTRADICTS: "another object with its UID is here",
}


@dataclass(frozen=True)
class RefusedInstancesView:
    """The instances of a sender that were answered with a DIMSE status (PS3.4 section B.2.3), as "0xC002"; `meaning`:
    what it says; `last_at`: UTC seconds since the epoch."""

    calling_ae_title: str
    status: str
    meaning: str
    times: int
    last_at: float


@dataclass
class _Logged:
    at: float
    since: int = 0
    comment: str = ""


@dataclass
class RefusedInstances:
    """Counts the instances of each sender that were answered with a failure. Thread-safe; `note` never waits for the
    database.

    Attributes:
        now: UTC seconds since the epoch.
    """

    now: Callable[[], float]
    _logged: dict[tuple[str, Status], _Logged] = field(default_factory=dict, init=False)
    _unstored: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    def note(self, calling_ae_title: str, answer: Answer) -> None:
        """Counts an instance that was not taken. Only senders of the settings get so far, so there are few."""
        key = calling_ae_title, answer.status
        with self._turn:
            self._unstored[calling_ae_title, code(answer.status)] += 1
            is_first = key not in self._logged
            logged = self._logged.setdefault(key, _Logged(self.now()))
            logged.since += not is_first
            logged.comment = answer.comment
        if is_first:
            log.warning("an instance of %r is refused: %s (%s)", calling_ae_title, code(answer.status), answer.comment)

    def store(self, sessions: Sessions) -> None:
        """Logs how many there were in the last minute, and adds what was counted to the rows."""
        now = self.now()
        self._log(now)
        with self._turn:
            unstored, self._unstored = self._unstored, Counter()
        if not unstored:
            return
        try:
            with sessions.begin() as session:
                enter_limited_senders(session, unstored, now)
        except BaseException:
            with self._turn:
                self._unstored += unstored
            raise

    def _log(self, now: float) -> None:
        with self._turn:
            due = {key: logged for key, logged in self._logged.items() if now >= logged.at + LOGGED_EVERY_S}
            for key, logged in due.items():
                del self._logged[key]
                if logged.since:
                    self._logged[key] = _Logged(now)
        for (title, status), logged in due.items():
            if logged.since:
                log.warning(
                    "instances of %r are refused: %d more: %s (%s)", title, logged.since, code(status), logged.comment
                )


def code(status: Status) -> str:
    """The status as the Standard writes it: "0xC002"."""
    return f"0x{status:04X}"


def refused_instances(session: Session) -> tuple[RefusedInstancesView, ...]:
    """The instances that were not taken, by sender and status, the latest first."""
    meanings = {code(status): meaning for status, meaning in _MEANINGS.items()}
    return tuple(
        RefusedInstancesView(row.calling_ae_title, row.limit, meanings.get(row.limit, ""), row.times, row.last_at)
        for row in refusals_of_senders(session, by_status=True)
    )
