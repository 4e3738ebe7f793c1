"""Sends HL7 v2 messages over MLLP (HL7 v2 transport specification, release 1), and understands their acknowledgements
(HL7 v2.5.1 section 2.9.2).

An acknowledgement may quote patient data: the node's errors name only its codes and places, and it is kept beside the
message.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from dicom_io.durable import write_durably
from dicom_io.errors import CertificatesUnusable, NotAccepted, Rejected, Unreachable
from dicom_io.network.tls import TlsFiles, in_words
from node.archive.layout import ACKNOWLEDGEMENT, answer_to
from node.assessments.hl7.listener import END, START
from node.assessments.hl7.message import CHARSETS, Message, NoMessage, Segment, parse

_MOST_BYTES = 1 << 20
_AT_ONCE_S = 0.001
_PROBE_S = 1.0
_ACCEPTED, _FAILED, _REFUSED = ("AA", "CA"), ("AE", "CE"), ("AR", "CR")
_CONDITIONS = {
    "0": "message accepted", "100": "segment sequence error", "101": "required field missing", "102": "data type error",
    "103": "table value not found", "200": "unsupported message type", "201": "unsupported event code",
    "202": "unsupported processing ID", "203": "unsupported version", "204": "unknown key identifier",
    "205": "duplicate key identifier", "206": "application record locked", "207": "application internal error",
}  # fmt: skip
"""Table 0357."""


@dataclass(frozen=True)
class MllpPeer:
    """A receiver of HL7 messages, and how messages to it are addressed.

    Attributes:
        timeout_s: for the connection and for each answer.
        sending_application, …: MSH-3 to MSH-6.
        charset: MSH-18, a value of table 0211.
        tls: the node's certificates, if the connection is by TLS.
    """

    host: str
    port: int
    timeout_s: float
    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    charset: str
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        """A connection.

        Raises:
            Unreachable
        """
        try:
            if self.tls is None:
                return socket.create_connection((self.host, self.port), self.timeout_s)
            return self.tls.connected(self.host, self.port, self.timeout_s)
        except CertificatesUnusable as error:
            raise Unreachable(f"{self}: {error}") from error
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"{self} shows a certificate that is not accepted: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise Unreachable(f"{self} {_ended(error)}") from error
        except OSError as error:
            raise Unreachable(f"no connection to {self} (waited up to {self.timeout_s:g} s)") from error

    def addressed(self, message: bytes) -> bytes:
        """A message of the node with the fields that depend on the receiver, in its character set.

        Raises:
            NotAccepted: it is no message of the node.
            Rejected: it has characters that the character set lacks.
        """
        header, _, rest = message.partition(b"\r")
        try:
            fields = header.decode().split("|")
            body = rest.decode()
        except UnicodeError as error:
            raise NotAccepted("it cannot be sent: it is no HL7 message") from error
        if fields[0] != "MSH":
            raise NotAccepted("it cannot be sent: it is no HL7 message")
        fields += [""] * (18 - len(fields))
        fields[2:6] = (
            self.sending_application, self.sending_facility, self.receiving_application, self.receiving_facility,
        )  # fmt: skip
        fields[17] = self.charset
        try:
            return f"{'|'.join(fields)}\r{body}".encode(CHARSETS[self.charset])
        except UnicodeError as error:
            raise Rejected(f'its text cannot be written in {self.charset}: set charset = "UNICODE UTF-8"') from error


class MllpDestination:
    """A receiver of HL7 messages by its name in the settings. The connection is kept open between sends.

    Not thread-safe. Use as a context manager, or call `close`.
    """

    def __init__(self, peer: MllpPeer, name: str) -> None:
        self._peer = peer
        self._name = name
        self._connection: socket.socket | None = None

    def __enter__(self) -> MllpDestination:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, path: Path) -> None:
        """Sends the messages of a file, in their order. On return the receiver has accepted all of them (AA).

        Raises:
            Unreachable: no acknowledgement in time.
            Rejected: AE, or an answer that is no acknowledgement of this message.
            NotAccepted: AR, or the file is no message.
            OSError: the file could not be read.
        """
        for message in [self._peer.addressed(message) for message in _messages(path.read_bytes())]:
            self._send(message, path)

    def _send(self, message: bytes, path: Path) -> None:
        was_idle = self._connection is not None
        try:
            answer = self._exchange(message)
        except Unreachable:
            if not was_idle:
                raise
            answer = self._exchange(message)  # the idle connection broke; the receiver knows the message by its ID
        self._understand(answer, message, path)

    def close(self) -> None:
        """Closes the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(self, message: bytes) -> bytes:
        if self._connection is None:
            self._connection = self._peer.connect()
        try:
            self._connection.sendall(START + message + END + b"\r")
            return self._answer(self._connection)
        except ssl.SSLError as error:
            self.close()
            raise Unreachable(f"{self._peer} {_ended(error)}") from error
        except OSError as error:
            self.close()
            raise Unreachable(f"no acknowledgement from {self._peer} within {self._peer.timeout_s:g} s") from error
        except (Unreachable, Rejected):
            self.close()
            raise

    def _answer(self, connection: socket.socket) -> bytes:
        deadline, received = time.monotonic() + self._peer.timeout_s, b""
        while END not in received:
            connection.settimeout(max(deadline - time.monotonic(), _AT_ONCE_S))
            piece = connection.recv(1 << 16)
            if not piece:
                raise Unreachable(f"{self._peer} closed the connection without an acknowledgement")
            received += piece
            if len(received) > _MOST_BYTES:
                raise Rejected(f"{self._peer} answers what is no acknowledgement")
            if time.monotonic() > deadline:
                raise TimeoutError
        connection.settimeout(self._peer.timeout_s)
        return received.partition(END)[0].rpartition(START)[2]

    def _understand(self, answer: bytes, message: bytes, path: Path) -> None:
        sent = parse(message, "utf-8")
        try:
            acknowledgement = parse(answer, sent.charset)
        except NoMessage as error:
            self.close()
            raise Rejected(f"{self._peer} answers what is no acknowledgement") from error
        msa = _first(acknowledgement, "MSA")
        if msa is None or msa.component(1) not in (*_ACCEPTED, *_FAILED, *_REFUSED):
            self.close()
            raise Rejected(f"{self._peer} answers what is no acknowledgement")
        if msa.component(2) != sent.control_id:
            self.close()  # what comes next would belong to another message too
            raise Rejected(f"{self._peer} acknowledges another message")
        if msa.component(1) not in _ACCEPTED:
            self._refused(msa, acknowledgement, answer, path)

    def _refused(self, msa: Segment, acknowledgement: Message, answer: bytes, path: Path) -> NoReturn:
        kept = answer_to(path, self._name, ACKNOWLEDGEMENT)
        write_durably(kept, answer)
        why = _reason(msa, _first(acknowledgement, "ERR"))
        refused = NotAccepted if msa.component(1) in _REFUSED else Rejected
        raise refused(
            f"{self._peer} answers {msa.component(1)}{why and f' ({why})'}; "
            f"its answer is kept as {kept.name} beside the message"
        )


def mllp_connects(peer: MllpPeer) -> None:
    """Verifies that a receiver takes connections. No message is sent.

    Raises:
        Unreachable
    """
    with peer.connect() as connection:
        if not isinstance(connection, ssl.SSLSocket):
            return
        connection.settimeout(_PROBE_S)
        try:
            is_open = bool(connection.recv(1))  # TLS 1.3 tells only now that the node's certificate is refused
        except TimeoutError:
            is_open = True
        except ssl.SSLError as error:
            raise Unreachable(f"{peer} {_ended(error)}") from error
        except OSError:
            is_open = False
        if not is_open:
            raise Unreachable(f"{peer} ends the TLS connection: it may not accept the node's certificate")


def _ended(error: ssl.SSLError) -> str:
    return f"ends the TLS connection: {in_words(error)}"


def _messages(content: bytes) -> list[bytes]:
    """A report, and before it what takes back an earlier one from another patient or order."""
    return re.split(rb"(?<=\r)(?=MSH\|)", content)


def _reason(msa: Segment, err: Segment | None) -> str:
    """The condition, and the segment and field that it is about, from ERR-3 and ERR-2; before version 2.5 from MSA-6 or
    ERR-1. Only what the tables of HL7 have, which is no patient's."""
    code = (err.component(3) if err else "") or (err.component(1, 4).split("&")[0] if err else "") or msa.component(6)
    place = "-".join(filter(None, (err.component(2, 1), err.component(2, 3)))) if err else ""
    said = [_CONDITIONS[code]] if code in _CONDITIONS else []
    return ", ".join([*said, *([place] if re.fullmatch(r"[A-Z][A-Z0-9]{2}(-\d{1,3})?", place) else [])])


def _first(message: Message, name: str) -> Segment | None:
    return next((segment for segment in message.segments if segment.name == name), None)
