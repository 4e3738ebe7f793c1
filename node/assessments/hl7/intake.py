"""Acknowledges HL7 messages: AA after the assessments are committed, otherwise AE or AR with the reason.

AA (accepted) is also the answer to results that the node does not use: without BI-RADS, or preliminary. AE (error): the
message cannot be used; a copy is kept for support. AR (rejected): no ORU^R01, or not from an allowed sender; no copy is
kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.hl7 import Hl7
from dicom_io.audit.codes import SOURCE
from dicom_io.audit.message import Participant
from dicom_io.durable import write_durably
from dicom_io.network.host_names import HostNames
from models.types.birads import AssessmentSource
from models.types.words import counted
from node.archive.layout import HL7_REFUSED
from node.assessments.entered import enter
from node.assessments.hl7.message import Message, NoMessage, NotUsable, parse
from node.assessments.hl7.orders import orders_of
from node.assessments.hl7.results import results_of, subject_of
from node.assessments.withdrawn import Subject, withdraw
from node.audit.events import enter_assessed
from node.logs import place_of
from node.store.database import Sessions

log = logging.getLogger(__name__)

MOST_REFUSED = 1000
"""How many refused messages are kept, the newest ones. They contain patient data."""
TAKES_BACK = "it corrects or withdraws a report, and states no BI-RADS category"
WITHDRAWN_NOW = "the categories of its study count no longer: send the corrected report"
_ERROR_CODES = {
    "AE": ("207", "Application error", "HL70357"),
    "AR": ("200", "Unsupported message type", "HL70357"),
}


@dataclass(frozen=True)
class Hl7Intake:
    """Answers messages. Thread-safe.

    Attributes:
        now: returns UTC seconds since the epoch.
        hosts: resolves the senders' host names.
        tell_refused: told of each message that is refused: address, kind, and why in words.
    """

    sessions: Sessions
    data_dir: Path
    settings: Hl7
    now: Callable[[], float]
    hosts: HostNames = field(default_factory=HostNames)
    tell_refused: Callable[[str, str, str], None] = lambda host, kind, why: None

    def answer(self, block: bytes, host: str) -> bytes:
        """The acknowledgement of a message (without MLLP frame) from the address `host`. Raises nothing."""
        try:
            return self._answer(block, host)
        except Exception as fault:  # noqa: BLE001 - an internal error: the sender gets AE
            # Only the place: the message of the exception may contain patient data.
            log.error("an internal error in an HL7 message: %s", place_of(fault))
            return self._unusable(None, block, host, "an internal error of the node: see its log")

    def _answer(self, block: bytes, host: str) -> bytes:
        try:
            message, unreadable = parse(block, self.settings.charset), ""
        except NoMessage as fault:
            message, unreadable = None, str(fault)
        if not self.may_send(host):
            return self._rejected(message, host, "this address may not send (hl7.sender_hosts)")
        if message is None:
            return self._unusable(None, block, host, unreadable)
        applications = self.settings.sender_applications
        if applications and message.header.component(3) not in applications:
            return self._rejected(message, host, "this application may not send (hl7.sender_applications)")
        if [message.header.component(9, number) for number in (1, 2)] != ["ORU", "R01"]:
            return self._rejected(message, host, "only ORU R01 messages are accepted")
        if message.header.component(11) not in ("", "P"):
            return self._rejected(message, host, "only production messages are accepted (MSH-11 = P)")
        if message.too_long:
            return self._refused(message, block, host, message.too_long)
        try:
            return self._entered(message, block, host)
        except NotUsable as fault:
            return self._refused(message, block, host, str(fault))
        except SQLAlchemyError as fault:
            return self._not_written(message, fault)

    def _not_written(self, message: Message, fault: SQLAlchemyError) -> bytes:
        # Only the type: the message of the exception quotes the row, which has patient data.
        log.error("an HL7 message could not be written to the database: %s", type(fault).__name__)
        return self._acknowledged(message, "AE", "the node's database cannot be written: send again")

    def too_large(self) -> bytes:
        """The acknowledgement of a message that is larger than hl7.max_message_kb."""
        log.warning("HL7 message refused: larger than hl7.max_message_kb")
        return self._acknowledged(None, "AE", "the message is too large (hl7.max_message_kb)")

    def _entered(self, message: Message, block: bytes, host: str) -> bytes:
        results = results_of(message, self.settings)
        with self.sessions.begin() as session:
            taken_back = self._withdrawn(session, message, results.takes_back, host)
            entered = enter(session, results.assessments, AssessmentSource.HL7, self.now())
            enter_assessed(session, entered, _sender(message, host), self.now(), message.control_id)
        if taken_back and not results.assessments:
            return self._unusable(message, block, host, f"{TAKES_BACK}; {WITHDRAWN_NOW}")
        log.info("HL7 message: %s, %d new", counted(len(results.assessments), "assessment"), len(entered))
        return self._acknowledged(message, "AA", results.note)

    def _refused(self, message: Message, block: bytes, host: str, why: str) -> bytes:
        """Refuses a message that cannot be understood. What it is about may have changed, so the categories that its
        orders or their studies have are withdrawn."""
        try:
            with self.sessions.begin() as session:
                about = [subject_of(order, self.settings) for order in orders_of(message)]
                taken_back = self._withdrawn(session, message, about, host)
        except SQLAlchemyError as fault:
            return self._not_written(message, fault)
        return self._unusable(message, block, host, f"{why}; {WITHDRAWN_NOW}" if taken_back else why)

    def _withdrawn(self, session: Session, message: Message, about: Collection[Subject], host: str) -> bool:
        """Whether categories are withdrawn that `about` names, now or when the same message came before."""
        rows = withdraw(session, about, message.document, self.now())
        enter_assessed(session, rows, _sender(message, host), self.now(), message.control_id)
        return bool(rows)

    def _unusable(self, message: Message | None, block: bytes, host: str, why: str) -> bytes:
        name = f"{hashlib.sha256(block).hexdigest()[:16]}.hl7"  # an identical message is kept once
        folder = self.data_dir / HL7_REFUSED
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            write_durably(folder / name, block)
            (folder / name).chmod(0o600)
            newest_first = sorted(folder.glob("*.hl7"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            for old in newest_first[MOST_REFUSED:]:
                old.unlink()
        except OSError as fault:
            log.error("HL7 message refused, and its copy could not be written: %s: %s", fault.strerror, why)
        else:
            log.warning("HL7 message refused, kept as %s/%s: %s", HL7_REFUSED, name, why)
        self.tell_refused(host, "HL7 message, error", f"an HL7 message is refused: {why}")
        return self._acknowledged(message, "AE", why)

    def _rejected(self, message: Message | None, host: str, why: str) -> bytes:
        log.warning("HL7 message rejected: %s", why)
        self.tell_refused(host, "HL7 message, rejected", f"an HL7 message is rejected: {why}")
        return self._acknowledged(message, "AR", why)

    def _acknowledged(self, message: Message | None, code: str, text: str) -> bytes:
        """An ACK^R01 (HL7 v2.5.1 section 2.13) with sender and receiver exchanged, the same control ID and the sender's
        separators."""
        received_field = message.header.raw if message else lambda _: ""
        own = message.header.escaped if message else lambda plain: plain
        separators = message.header.separators if message else "\r|~^&"
        field, component = separators[1], separators[3]
        at, charset = self.now(), message.charset if message else "ascii"
        msh = [
            "MSH",
            received_field(2) or "^~\\&",
            received_field(5) or "MAMMO_NODE",
            received_field(6),
            received_field(3),
            received_field(4),
        ]
        msh += [
            datetime.fromtimestamp(at, UTC).strftime("%Y%m%d%H%M%S+0000"),
            "",
            component.join(("ACK", "R01", "ACK")),
        ]
        msh += [str(round(at * 1e6)), received_field(11) or "P", received_field(12) or "2.5.1"]
        segments = [msh, ["MSA", code, received_field(10), own(text)]]
        if code in _ERROR_CODES:
            segments.append(["ERR", "", "", component.join(_ERROR_CODES[code]), "E", "", "", own(text)])
        return "".join(field.join(segment) + "\r" for segment in segments).encode(charset, errors="replace")

    def may_send(self, host: str) -> bool:
        """Whether this address may send (hl7.sender_hosts). Does not wait for a DNS query."""
        return any(self.hosts.is_at(allowed, host) for allowed in self.settings.sender_hosts)


def _sender(message: Message, host: str) -> Participant:
    """As IHE ITI has it of HL7 messages: the sending facility and application."""
    name = "|".join(message.header.component(field) for field in (4, 3))
    return Participant(name, is_requestor=True, roles=(SOURCE,), address=host)
