"""Mails what needs a person: one digest for whatever is new, and nothing twice.

What was told is in the queue, so that a restart repeats nothing. A mail that cannot be sent is not kept: the next one
is written of what needs a person then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from models.types.words import counted
from node.logs import place_of, without_uids
from node.mail.server import MailRefused, send
from node.operations.needs import Need, needs_now
from node.store.database import Sessions, read_only
from node.store.tables import ToldNeed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Digest:
    """Looks what needs a person, and mails what is new. `now`: UTC seconds since the epoch."""

    settings: Settings
    sessions: Sessions
    now: Callable[[], float]

    def run(self) -> None:
        """As a tick: sends a mail if something is new since `wait_minutes`."""
        mail = self.settings.mail
        now = self.now()
        with read_only(self.sessions) as session:
            present = needs_now(session, self.settings, now)
        with self.sessions.begin() as session:
            new, is_due = _new_ones(session, present, mail.wait_minutes * 60, now)
        if not is_due:
            return
        try:
            send(mail, self._message(present, new, now))
        except MailRefused as error:
            log.warning("what needs a person is not mailed: %s", error)
            return
        except Exception as fault:  # noqa: BLE001 - logged; images are received and read also if nobody can be mailed
            log.warning("what needs a person is not mailed: %s", place_of(fault))
            return
        with self.sessions.begin() as session:
            _enter_told(session, present)
        log.info("mailed: %s a person", _counted(len(present)))

    def _message(self, present: Sequence[Need], new: Sequence[Need], now: float) -> EmailMessage:
        settings, mail = self.settings, self.settings.mail
        message = EmailMessage()
        message["Subject"] = f"{settings.receiver.ae_title}: {_counted(len(present))} a person"
        message["From"] = mail.sender
        message["To"] = ", ".join(mail.recipients)
        message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
        message["Message-ID"] = make_msgid(domain=(mail.sender or "").rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        message.set_content("\n".join(_lines(present, new, settings.web.address)))
        return message


def _lines(present: Sequence[Need], new: Sequence[Need], page: str | None) -> list[str]:
    """Without patient data: a peer's words are shown without UIDs."""
    lines = []
    for title, some in (("New:", new), ("Told before:", [need for need in present if need not in new])):
        if some:
            lines += [title, ""]
            lines += [f"* {without_uids(need.says)}\n  {need.cure}" for need in some]
            lines.append("")
    return [*lines, *([f"The node's page: {page}/"] if page else []), "The same is not mailed again."]


def _new_ones(session: Session, present: Sequence[Need], wait_s: float, now: float) -> tuple[list[Need], bool]:
    """The needs that nobody was told of, or fewer than there are now; and whether one of them is so since `wait_s`."""
    known = {row.key: row for row in session.scalars(select(ToldNeed))}
    new, is_due = [], False
    for need in present:
        row = known.pop(need.key, None)
        if row is None:
            row = ToldNeed(key=need.key, told=0)
            session.add(row)
        row.told = min(row.told, need.count)
        if need.count == row.told:
            row.since = None
            continue
        row.since = now if row.since is None else min(row.since, now)
        new.append(need)
        is_due = is_due or now - row.since >= wait_s
    for row in known.values():  # mended: when it comes again, it is new
        session.delete(row)
    return new, is_due


def _enter_told(session: Session, present: Sequence[Need]) -> None:
    counts = {need.key: need.count for need in present}
    for row in session.scalars(select(ToldNeed).where(ToldNeed.key.in_(counts))):
        row.told, row.since = counts[row.key], None


def _counted(number: int) -> str:
    """ "1 thing needs", "2 things need"."""
    return f"{counted(number, 'thing')} {'needs' if number == 1 else 'need'}"
