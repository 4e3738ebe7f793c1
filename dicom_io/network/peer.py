"""Opens associations with another DICOM application, and interprets the status of its answers.

Every wait has a time-out: to connect, negotiate, send, and wait for an answer. A PDU of the peer must not be larger
than LARGEST_PDU or take longer than the time-out.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from pydicom import Dataset
from pydicom.multival import MultiValue
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.status import code_to_category
from pynetdicom.transport import AssociationSocket

from dicom_io.attributes import text
from dicom_io.errors import CertificatesUnusable, NotAccepted, Rejected, Unreachable
from dicom_io.network.pace import Pace
from dicom_io.network.tls import TlsFiles, in_words

log = logging.getLogger(__name__)

LARGEST_PDU = 1 << 20
"""Bytes of the largest PDU that is read. The node proposes 16 KiB; without a limit, a PDU could fill the memory."""
_PIECE = 1 << 16
_PROBE_S = 1.0
_TRANSIENT = 0x02  # A-ASSOCIATE-RJ result, PS3.8 section 9.3.4
_LONGEST_COMMENT, _MOST_ELEMENTS = 64, 8
_WARNINGS = {
    0xB000: "it changed elements of the object",
    0xB006: "it left elements of the object out",
    0xB007: "the object does not match its SOP class",
}
_SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 section C.5.6


@dataclass(frozen=True)
class Peer:
    """Another application's AE title and address, and the AE title with which the node calls it.

    Attributes:
        pace: of all that is sent to it; None: as fast as it goes.
        tls: the node's certificates, if the connection is by TLS.
    """

    ae_title: str
    host: str
    port: int
    timeout_s: float
    calling_ae_title: str
    pace: Pace | None = field(default=None, compare=False)
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}:{self.port}"

    def associate(
        self,
        contexts: list[PresentationContext],
        roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
        handlers: Sequence[EventHandlerType] = (),
    ) -> Association:
        """Opens an association. Every wait in it ends after timeout_s.

        Args:
            roles: SOP classes for which the node is the SCP (PS3.7 section D.3.3.4), as C-GET requires.
            handlers: handlers for pynetdicom's events.

        Raises:
            Unreachable: no answer in time, or a transient rejection.
            Rejected: the peer refuses the association.
            NotAccepted: the peer refuses all of its contexts.
        """
        ae = AE(self.calling_ae_title)
        ae.connection_timeout = self.timeout_s
        ae.acse_timeout = self.timeout_s
        ae.dimse_timeout = self.timeout_s
        ae.network_timeout = self.timeout_s
        refusals: list[A_ASSOCIATE] = []
        try:
            association = ae.associate(
                self.host,
                self.port,
                contexts,
                ae_title=self.ae_title,
                ext_neg=list(roles),
                tls_args=self._tls(),
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, _limit, [self.timeout_s, self.pace]),
                    (evt.EVT_PDU_RECV, _refused, [refusals]),
                    *handlers,
                ],
            )
        except OSError as error:  # name resolution, which pynetdicom does not catch
            raise Unreachable(f"{self}: the host is not known ({error.strerror})") from error
        if association.is_established:
            association.network_timeout_response = "A-RELEASE"  # an idle association ends politely
            return association
        for refusal in refusals:
            message = f"{self} refuses the association: {refusal.reason_str}"
            raise Unreachable(message) if refusal.result == _TRANSIENT else Rejected(message)
        if association.rejected_contexts:
            raise NotAccepted(f"{self} does not accept {_names(association.rejected_contexts)}")
        raise Unreachable(f"{self} {self._silence()}")

    def _tls(self) -> tuple[ssl.SSLContext, str] | None:
        """
        Raises:
            Unreachable: the certificates cannot be used.
        """
        if self.tls is None:
            return None
        try:
            return self.tls.client(), self.tls.server_name or self.host
        except CertificatesUnusable as error:
            raise Unreachable(f"{self}: {error}") from error

    def _silence(self) -> str:
        """Why there was no answer: pynetdicom does not say it."""
        try:
            with socket.create_connection((self.host, self.port), timeout=_PROBE_S) as probe:
                if (tls := self._tls()) is not None:
                    with tls[0].wrap_socket(probe, server_hostname=tls[1]) as encrypted:
                        encrypted.recv(1)  # TLS 1.3 tells only now that it refuses the node's certificate
        except ConnectionRefusedError:
            return "refuses connections: nothing listens at this port"
        except TimeoutError:
            pass
        except ssl.SSLCertVerificationError as error:
            return f"shows a certificate that is not accepted: {error.verify_message}"
        except ssl.SSLError as error:
            return f"ends the TLS handshake: {in_words(error)}"
        except OSError as error:
            return f"cannot be reached: {error.strerror}"
        return f"does not answer (waited up to {self.timeout_s:g} s)"

    def must_not_fail(self, answer: Dataset) -> None:
        """Checks that a DIMSE answer has a status of success, warning or pending.

        Raises:
            Unreachable: there was no answer (pynetdicom gives an empty data set).
            Rejected: the status is a failure.
            NotAccepted: the peer does not support the SOP class.
        """
        if "Status" not in answer:
            raise Unreachable(f"{self} broke the association, or did not answer in time")
        status = int(answer.Status)
        category = code_to_category(status)
        if category not in ("Success", "Warning", "Pending"):
            refused = NotAccepted if status == _SOP_CLASS_NOT_SUPPORTED else Rejected
            refusal = refused(f"{self} answers with status 0x{status:04X} ({meaning(status)})", status)
            refusal.comment = _comment(answer)
            raise refusal

    def warning(self, answer: Dataset) -> str | None:
        """The warning with which an answer says that the object was stored (PS3.4 table B.2-1), with the elements that
        it concerns (Offending Element, 0000,0901); None: there is none."""
        status = int(answer.Status)
        if code_to_category(status) != "Warning":
            return None
        tags = [f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in _offending(answer)]
        about = f": {', '.join(tags)}" if tags else ""
        return f"stored with warning 0x{status:04X} ({_WARNINGS.get(status, 'no success without a doubt')}{about})"


def _comment(answer: Dataset) -> str:
    """Error Comment (0000,0902): what can be printed of its 64 characters (LO)."""
    words = text(answer, "ErrorComment")
    return " ".join("".join(each if each.isprintable() else " " for each in words[:_LONGEST_COMMENT]).split())


def _offending(answer: Dataset) -> list[int]:
    """At most eight tags, which name no patient."""
    found = answer.get("OffendingElement")
    tags = found if isinstance(found, MultiValue) else [found]
    return [int(tag) for tag in tags if isinstance(tag, int)][:_MOST_ELEMENTS]


def _refused(event: evt.Event, refusals: list[A_ASSOCIATE]) -> None:
    """Keeps an A-ASSOCIATE-RJ. pynetdicom aborts, and knows of no rejection, where one arrives before the thread that
    asked runs again."""
    if isinstance(event.pdu, A_ASSOCIATE_RJ):
        refusals.append(event.pdu.to_primitive())


def _limit(event: evt.Event, timeout_s: float, pace: Pace | None) -> None:
    """Limits time, PDU size and pace. pynetdicom removes the socket's time-out after connecting, so it would wait
    forever for a peer that stops reading, and it reads as many bytes as a PDU states."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.settimeout(timeout_s)
        connection.recv = partial(_recv, connection, timeout_s)  # type: ignore[method-assign]
        if pace is not None:
            connection.send = partial(_send, connection, connection.socket, pace)  # type: ignore[method-assign]


def _send(connection: AssociationSocket, stream: socket.socket, pace: Pace, data: bytes) -> None:
    """Sends a PDU at a pace; as pynetdicom does, a broken connection becomes an event."""
    try:
        for piece in pace.pieces(data):
            stream.sendall(piece)
        evt.trigger(connection.assoc, evt.EVT_DATA_SENT, {"data": data})
    except OSError:
        connection.event_queue.put("Evt17")


def _recv(connection: AssociationSocket, timeout_s: float, size: int) -> bytearray:
    """`size` bytes of a PDU, or fewer if the peer has closed the connection.

    Raises:
        ConnectionError: the PDU is larger than LARGEST_PDU; the connection is ended.
        TimeoutError: they did not arrive in time.
    """
    stream = connection.socket
    if stream is None:
        raise ConnectionError
    if size > LARGEST_PDU:
        log.warning("a peer sends a PDU of %d bytes: the association is ended", size)
        raise ConnectionError
    deadline, read = time.monotonic() + timeout_s, bytearray()
    while len(read) < size:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        stream.settimeout(left)
        piece = stream.recv(min(size - len(read), _PIECE))
        if not piece:
            break
        read += piece
    stream.settimeout(timeout_s)
    return read


def _names(contexts: list[PresentationContext]) -> str:
    names = {context.abstract_syntax.name for context in contexts if context.abstract_syntax is not None}
    return ", ".join(sorted(names))


def meaning(status: int) -> str:
    """The meaning of a status or Failure Reason, by its range (PS3.4 table B.2-1, PS3.7 Annex C, PS3.3 section
    C.14.1.1)."""
    match status >> 8:
        case 0xA7:
            return "out of resources"
        case 0xA9:
            return "the data set does not match its SOP class"
        case high if high >> 4 == 0xC:
            return "it cannot understand the data set"
        case _:
            return {
                0x0110: "processing failure",
                0x0111: "the instance is there already",
                0x0112: "it does not have the instance",
                0x0117: "invalid SOP instance",
                0x0119: "it has the instance under another SOP class",
                0x0122: "SOP class not supported",
                0x0124: "not authorised",
                0x0131: "the transaction UID is in use",
                0x0211: "unrecognised operation",
                0x0213: "out of resources",
            }.get(status, "failure")
