"""Writes the events of the table into the trail, in their order and each once, also if the node is killed meanwhile.

    1. the events get the numbers of their lines, and this is committed;
    2. the lines are appended to the trail, durably;
    3. the events are deleted, and how far the trail was written is stored.

After a kill between these, an event has its line if the line of its number is the one that the event makes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from dicom_io.audit.codes import (
    OBJECT_ATTRIBUTES_CHANGED,
    RECORDING_STARTED,
    RECORDING_STOPPED,
    SECURITY_ALERT,
    URI,
    Coded,
)
from dicom_io.audit.message import Action, AuditedObject, AuditMessage, AuditSource, alike, together
from dicom_io.audit.size import MOST_SOP_CLASSES, clipped
from dicom_io.audit.syslog import syslog_message
from node.audit.actors import this_process
from node.audit.events import MESSAGES, enter
from node.audit.security_events import enter_alert
from node.audit.trail import EMPTY, NO_LINE, Head, Line, Trail, TrailReader
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
            is_cut = there != NO_LINE and there.lines < known.lines
            if is_cut:
                log.error("the audit trail was cut: its last line is %d, and %d were written", there.lines, known.lines)
            says = f"the trail had {known.lines} lines; SHA-256 of the last: {known.digest}"
            if is_cut:
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
        rows, after = self._numbered(self.trail.head() or EMPTY)
        if rows:
            lines = [self._line(number, [*group]) for number, group in groupby(rows, key=_number)]
            head = self.trail.append(lines, after, self.now())
            with self.sessions.begin() as session:
                _wrote(session, head)
        return True

    def _numbered(self, there: Head) -> tuple[list[AuditEvent], Head]:
        """The next events, which get the numbers of their lines, and what they follow."""
        with self.sessions.begin() as session:
            self._finish_after_a_kill(session, there)
            known = stored_head(session)
            another = there.lines == known.lines and there.digest != known.digest
            if there.lines > known.lines or another or there == NO_LINE:
                self._tell_of_strangers(session, known, there)
            rows = list(session.scalars(select(AuditEvent).order_by(AuditEvent.id).limit(AT_ONCE)))
            # Behind lines that the node did not write, so that no number is there twice; unless theirs is made up.
            more = max(0, there.lines - known.lines)
            last = known.lines + (more if self.trail.has_room_for(more) else 0)
            for number, group in enumerate(_lines_of(rows), last + 1):
                for row in group:
                    row.line = number
            # They follow what the node wrote, whatever the files have: strangers' lines break the chain for ever.
            return sorted(rows, key=lambda row: (_number(row), row.id)), Head(last, known.digest)

    def _finish_after_a_kill(self, session: Session, there: Head) -> None:
        """Events that had got numbers: those whose lines were appended are deleted, and the others get new numbers."""
        being_written = lines_being_written(session, self.site)
        if not being_written:
            return
        head, found = stored_head(session), dict[int, Line]()
        for line in TrailReader(self.trail, head.lines).next_lines(there.lines, until=max(being_written)):
            found.setdefault(line.number, line)
        for number, xml in being_written.items():
            here = found.get(number)
            if here is None or here.xml != xml or not here.follows(Head(number - 1, head.digest)):
                break
            head = here.head
        _wrote(session, head)
        session.execute(update(AuditEvent).values(line=None))

    def _tell_of_strangers(self, session: Session, known: Head, there: Head) -> None:
        """The files end with lines that the node did not write."""
        says = f"line {known.lines} is another than the node wrote"
        if there == NO_LINE:
            says = "its last line is no line of a trail"
        elif there.lines > known.lines:
            says = f"the node wrote {known.lines} lines, and there are more, up to line {there.lines}"
        log.error("the audit trail was changed, or the database is an older one: %s", says)
        where, says = self.trail.folder.as_uri(), f"the audit trail was changed: {says}"
        enter_alert(session, OBJECT_ATTRIBUTES_CHANGED, where, says, self.now(), is_serious=True)

    def _line(self, number: int, rows: Sequence[AuditEvent]) -> str:
        at = max(row.at for row in rows)
        xml = _xml(rows, self.site)
        return syslog_message(xml, at=at, host=rows[0].host, process=os.getpid(), number=number)


def stored_head(session: Session) -> Head:
    """How far the trail was written, as the database knows it."""
    stored = session.get(AuditTrail, _ONE_ROW)
    return EMPTY if stored is None else Head(stored.lines, stored.digest)


def lines_being_written(session: Session, site: str) -> dict[int, str]:
    """The lines that may be in the files, and that the database does not know as written: their numbers, and XML."""
    rows = session.scalars(select(AuditEvent).where(AuditEvent.line.is_not(None)))
    in_order = sorted(rows, key=lambda row: (_number(row), row.id))
    return {number: _xml([*group], site) for number, group in groupby(in_order, key=_number)}


def _stored(session: Session) -> AuditTrail:
    stored = session.get(AuditTrail, _ONE_ROW)
    if stored is None:
        stored = AuditTrail(id=_ONE_ROW, lines=EMPTY.lines, digest=EMPTY.digest)
        session.add(stored)
    return stored


def _wrote(session: Session, head: Head) -> None:
    """The lines up to the head are in the files."""
    session.execute(delete(AuditEvent).where(AuditEvent.line <= head.lines))
    stored = _stored(session)
    stored.lines, stored.digest = head.lines, head.digest


def _xml(rows: Sequence[AuditEvent], site: str) -> str:
    """The message of the events of a line."""
    message = together([MESSAGES.validate_python(row.message) for row in rows])
    return clipped(message).xml(AuditSource(rows[0].host[:255], site[:255]))


def _lines_of(rows: Sequence[AuditEvent]) -> list[list[AuditEvent]]:
    """The rows of each line."""
    lines = []
    for _, of_host in groupby(rows, key=lambda row: row.host):
        of_one = [*of_host]
        messages = [MESSAGES.validate_python(row.message) for row in of_one]
        lines += [[of_one[place] for place in places] for places in alike(messages, MOST_SOP_CLASSES)]
    return lines


def _number(row: AuditEvent) -> int:
    return row.line or 0
