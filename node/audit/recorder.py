"""Writes the events of the table into the trail, in their order and each once, also if the node is killed meanwhile.

    1. the events get the numbers of their lines, and this is committed;
    2. the lines are appended to the trail, durably;
    3. the events are deleted, and how far the trail was written is stored.

After a kill between these, the numbers say which events have their lines.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from dicom_io.audit.codes import RECORDING_STARTED, RECORDING_STOPPED, SECURITY_ALERT, URI, Coded
from dicom_io.audit.message import Action, AuditedObject, AuditMessage, AuditSource, alike, together
from dicom_io.audit.syslog import syslog_message
from node.audit.actors import this_process
from node.audit.events import MESSAGES, enter
from node.audit.trail import EMPTY, Head, Trail
from node.store.database import Sessions, read_only
from node.store.tables import AuditEvent, AuditTrail

log = logging.getLogger(__name__)

AT_ONCE = 500
_ONE_ROW = 1


@dataclass
class Recorder:
    """Writes into the trail of the data folder. Thread-safe; another process that writes at the same time waits.

    Attributes:
        site: the institution, or "".
        now: UTC seconds since the epoch.
    """

    sessions: Sessions
    trail: Trail
    site: str
    now: Callable[[], float]
    _day: str = field(default="", init=False)

    def record(self) -> None:
        """Writes all events that wait."""
        with self.trail.alone():
            self._begin_day()
            while self._write_some():
                pass

    def end(self) -> None:
        """The same for the last time, with the event that recording stops."""
        with self.trail.alone():
            self._state_head(RECORDING_STOPPED)
            while self._write_some():
                pass

    def _begin_day(self) -> None:
        """Each day, and when the node starts, the trail states how far it was written before: with it a syslog receiver
        has the digest of all lines up to then."""
        today = datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%d")
        if today > self._day:
            self._state_head(RECORDING_STARTED)
            self._day = today

    def _state_head(self, kind: Coded) -> None:
        with self.sessions.begin() as session:
            known = _stored(session)
            there = self.trail.head() or EMPTY
            if there.lines < known.lines:
                log.error("the audit trail was cut: its last line is %d, and %d were written", there.lines, known.lines)
            says = f"the trail had {known.lines} lines; SHA-256 of the last: {known.digest}"
            if there.lines < known.lines:
                says += f"; lines {there.lines + 1} to {known.lines} are missing in its files"
            details = ("Alert Description", says), ("Lines", str(known.lines)), ("SHA-256", known.digest)
            about = AuditedObject(self.trail.folder.as_uri(), URI, "2", "13", "Security Audit Log", details=details)
            who = (this_process(),)
            enter(session, AuditMessage(SECURITY_ALERT, Action.EXECUTE, self.now(), who, (about,), (kind,)))

    def _write_some(self) -> bool:
        """Writes the next events; whether there were any."""
        with read_only(self.sessions) as session:
            if session.scalar(select(AuditEvent.id).limit(1)) is None:
                return False
        there = self.trail.head() or EMPTY
        rows, known = self._numbered(there)
        if not rows:
            return False
        missing = [row for row in rows if _number(row) > there.lines]
        head = there
        if missing:
            lines = [self._line(number, [*group]) for number, group in groupby(missing, key=_number)]
            head = self.trail.append(lines, _before(_number(missing[0]), there, known), self.now())
        with self.sessions.begin() as session:
            session.execute(delete(AuditEvent).where(AuditEvent.line <= head.lines))
            stored = _stored(session)
            stored.lines, stored.digest = head.lines, head.digest
        return True

    def _numbered(self, there: Head) -> tuple[list[AuditEvent], Head]:
        """The next events, by the numbers of their lines: those that have one since before a kill, or the next ones,
        which get theirs. And how far the database knows the trail."""
        with self.sessions.begin() as session:
            stored = _stored(session)
            rows = list(session.scalars(select(AuditEvent).where(AuditEvent.line.is_not(None))))
            if not rows:
                rows = list(session.scalars(select(AuditEvent).order_by(AuditEvent.id).limit(AT_ONCE)))
                number = max(stored.lines, there.lines)
                for group in _lines_of(rows):
                    number += 1
                    for row in group:
                        row.line = number
            return sorted(rows, key=lambda row: (_number(row), row.id)), Head(stored.lines, stored.digest)

    def _line(self, number: int, rows: Sequence[AuditEvent]) -> str:
        message = together([MESSAGES.validate_python(row.message) for row in rows])
        host = rows[0].host
        xml = message.xml(AuditSource(host, self.site))
        return syslog_message(xml, at=message.at, host=host, process=os.getpid(), number=number)


def stored_head(session: Session) -> Head:
    """How far the trail was written, as the database knows it."""
    stored = session.get(AuditTrail, _ONE_ROW)
    return EMPTY if stored is None else Head(stored.lines, stored.digest)


def _stored(session: Session) -> AuditTrail:
    stored = session.get(AuditTrail, _ONE_ROW)
    if stored is None:
        stored = AuditTrail(id=_ONE_ROW, lines=EMPTY.lines, digest=EMPTY.digest)
        session.add(stored)
    return stored


def _lines_of(rows: Sequence[AuditEvent]) -> list[list[AuditEvent]]:
    """The rows of each line."""
    lines = []
    for _, of_host in groupby(rows, key=lambda row: row.host):
        of_one = [*of_host]
        messages = [MESSAGES.validate_python(row.message) for row in of_one]
        lines += [[of_one[place] for place in places] for places in alike(messages)]
    return lines


def _number(row: AuditEvent) -> int:
    return row.line or 0


def _before(number: int, there: Head, known: Head) -> Head:
    """What line `number` follows: the last line of the trail, or, where that was cut, the one that the database
    knows."""
    if there.lines == number - 1:
        return there
    return known if known.lines == number - 1 else Head(number - 1, EMPTY.digest)
