"""The listener (C-STORE SCP): streams each received data set to disk and asks an Intake for the answer."""

from __future__ import annotations

import logging
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Protocol, cast

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made from tables at run time

from dicom_io.errors import NotListening
from dicom_io.network.answers import Answer, Status
from dicom_io.network.commitment import Hear, answer_report
from dicom_io.network.host_names import HostNames, addresses_of
from dicom_io.network.incoming import IncomingFile, head_of
from dicom_io.network.places import Places
from dicom_io.network.priority import MEDIUM
from dicom_io.network.scp_contexts import supported_contexts
from dicom_io.network.scp_gate import Admission, Refusal, TellRefused
from dicom_io.network.scp_messages import StreamingDIMSE
from dicom_io.network.scp_request import Names, UserIdentity
from dicom_io.network.scp_stream import ReceivingServer, StreamingHandler
from dicom_io.network.throttle import Throttle
from dicom_io.network.tls import ServerTls, names_of
from dicom_io.network.user_identity import Demand, NotIdentified, ProofUnusable

log = logging.getLogger(__name__)

# A-ASSOCIATE-RJ (PS3.8 section 9.3.4): rejected-permanent by the service-user
_ABORTED_WITHIN_S = 2.0
_ABSTRACT_SYNTAX_REFUSED = 3  # a presentation context's result (PS3.8 table 9-18)
_UNKNOWN_CALLER, _UNKNOWN_CALLED = (1, 1, 3), (1, 1, 7)
_NOT_NOW = (2, 1, 1)
_NOT_IDENTIFIED = (1, 2, 1)  # by the ACSE-related function of the provider, as PS3.7 section D.3.3.7 demands


@dataclass(frozen=True)
class ReceivedFile:
    """A data set that was received completely, as a Part 10 file. Its bytes are synced to disk; its name may not be.

    Attributes:
        path: in the incoming folder. `Intake.accept` moves the file away; a file that is left there is deleted.
        calling_ae_title: the sender's AE title.
        peer: the sender's IP address.
        sop_class_uid, sop_instance_uid, transfer_syntax_uid: as the request states them, unchecked.
        priority: MEDIUM, HIGH or LOW (PS3.7 table 9.3-1); MEDIUM if the request states no other.
        sha256: of the file, in hexadecimal; None: not known.
        user: that the sender proved to act for; "" if none was demanded.
    """

    path: Path
    calling_ae_title: str
    peer: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    priority: int = MEDIUM
    sha256: str | None = None
    user: str = ""


class Intake(Protocol):
    """Decides what happens to received data sets. Called by several threads at once."""

    def refusal(self, calling_ae_title: str) -> Answer | None:
        """Asked before a data set is received: the answer if none of this sender can be stored now, so that nothing is
        written."""

    def accept(self, received: ReceivedFile) -> Answer:
        """Stores a received file. If the answer is Success, the data set must survive a power cut from then on."""


@dataclass(frozen=True)
class AllowedSender:
    """An application that may associate: its AE title, and the host name or address that it must use, if one is given.

    Attributes:
        stores: False for an application that may only report on storage commitments.
        certificates: the names, one of which its certificate must have; it must use TLS then. Empty: any, or no TLS.
        user: the user identity that it must state; None: none is asked for.
        max_associations: at the same time; one more is rejected (transient). None: by the listener's limits alone.
    """

    ae_title: str
    host: str | None = None
    stores: bool = True
    certificates: frozenset[str] = frozenset()
    user: Demand | None = None
    max_associations: int | None = None


@dataclass(frozen=True)
class TlsAddress:
    """A second address of a listener, for TLS alone."""

    host: str
    port: int
    tls: ServerTls


@dataclass(frozen=True)
class ListenerLimits:
    """The limits of one listener.

    Attributes:
        max_associations: at the same time; one more is rejected (transient).
        max_associations_per_peer: at the same time for one IP address.
        max_pdu_bytes: Maximum Length that is proposed to senders.
        association_timeout_s: time within which a connection must send its association request.
        idle_timeout_s: time after which an idle association is aborted; also the time within which a PDU must arrive.
        max_image_bytes: the largest data set.
    """

    max_associations: int = 32
    max_associations_per_peer: int = 16
    max_pdu_bytes: int = 131072
    association_timeout_s: float = 10
    idle_timeout_s: float = 60
    max_image_bytes: int = 1 << 30


RefusedClasses = Callable[[str, Sequence[str]], None]
"""Called with an association's calling AE title and the SOP Class UIDs that it proposed and this node refused."""


class Listener:
    """C-ECHO and C-STORE SCP. It also receives storage commitment reports if `hear` is given.

    A calling AE title that is not in `senders` is rejected. If `senders` is empty, every association is rejected.
    """

    def __init__(
        self,
        ae_title: str,
        host: str,
        port: int,
        senders: Sequence[AllowedSender],
        incoming: Path,
        intake: Intake,
        limits: ListenerLimits = ListenerLimits(),
        hear: Hear | None = None,
        refused_classes: RefusedClasses | None = None,
        look_up: Callable[[str], frozenset[str]] = addresses_of,
        by_tls: TlsAddress | None = None,
        tell_refused: TellRefused | None = None,
        at_limit: Callable[[str], None] = lambda _: None,
        tell_not_taken: Callable[[str, Answer], None] = lambda _title, _answer: None,
    ) -> None:
        """`look_up`: finds the addresses of a host name. It may be slow: it runs in a thread of its own.
        `tell_refused`: see `Gate`. `at_limit`: told of the AE title of a sender that has as many associations as it
        may; it must not block. `tell_not_taken`: told of the AE title of a sender and the answer, for each instance
        that is not taken; it must not block."""
        self._hosts = HostNames(look_up)
        self._addresses: list[tuple[str, int, ServerTls | None]] = [(host, port, None)]
        if by_tls is not None:
            self._addresses.append((by_tls.host, by_tls.port, by_tls.tls))
        self._throttle = Throttle(time.monotonic)
        self._senders = tuple(senders)
        self._incoming = incoming
        self._intake = intake
        self._limits = limits
        self._hear = hear
        self._refused_classes = refused_classes
        self._tell_refused = tell_refused
        self._at_limit = at_limit
        self._tell_not_taken = tell_not_taken
        self._servers: list[ReceivingServer] = []
        self._ae = AE(ae_title)
        self._ae.add_supported_context(Verification)  # pynetdicom needs one; `server.takes` below decides
        self._ae.maximum_associations = 2 * limits.max_associations  # `Places` enforces the limit
        self._ae.maximum_pdu_size = limits.max_pdu_bytes
        self._ae.network_timeout = limits.idle_timeout_s

    @property
    def port(self) -> int:
        """The listening port; if port 0 was configured, the port that the system chose."""
        return self._port(0)

    @property
    def tls_port(self) -> int:
        """The same of the address for TLS."""
        return self._port(1)

    def _port(self, number: int) -> int:
        return int(self._servers[number].server_address[1]) if self._servers else self._addresses[number][1]

    def start(self) -> None:
        """Starts to listen. Deletes files that an earlier process received incompletely: they were not acknowledged.

        Raises:
            NotListening: the port is in use, or the address does not belong to this machine.
            OSError: the incoming folder cannot be created.
        """
        self._incoming.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.glob("*.part"):
            leftover.unlink()
        places: Places[object] = Places(self._limits.max_associations, self._limits.max_associations_per_peer)
        of_titles = {
            sender.ae_title.strip(): sender.max_associations
            for sender in self._senders
            if sender.max_associations is not None
        }
        titles: Places[object] = Places(sys.maxsize, sys.maxsize, of_titles)
        servers: list[ReceivingServer] = []
        for host, port, tls in self._addresses:
            try:
                servers.append(self._make_server(host, port, tls, places, titles))
            except OSError as error:
                for server in servers:
                    server.server_close()
                about = "receiver" if tls is None else "receiver.tls"
                raise NotListening(
                    f"Cannot listen on {host}:{port}: {error.strerror}. Set another {about}.port or {about}.host."
                ) from error
        self._hosts.watch(sender.host for sender in self._senders if sender.host is not None)
        self._servers = servers
        for server in servers:
            self._ae._servers.append(server)  # type: ignore[arg-type]  # its shutdown() removes it from this list
            threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
            by = "" if server.tls is None else " by TLS"
            log.info("listening as %s at %s:%d%s", self._ae.ae_title, *server.server_address[:2], by)

    def _make_server(
        self, host: str, port: int, tls: ServerTls | None, places: Places[object], titles: Places[object]
    ) -> ReceivingServer:
        """
        Raises:
            OSError: nobody can listen there.
        """
        reports = [] if self._hear is None else [(evt.EVT_N_EVENT_REPORT, answer_report, [self._hear])]
        server = self._ae.make_server(
            (host, port),
            evt_handlers=[
                (evt.EVT_REQUESTED, self._limit_caller),
                (evt.EVT_USER_ID, _accept_user),
                (evt.EVT_ACCEPTED, self._report_refused_classes),
                (evt.EVT_C_STORE, self._store),
                *reports,
            ],
            server_class=ReceivingServer,
            request_handler=StreamingHandler,
        )
        server = cast(ReceivingServer, server)
        server.open_file = self._open
        server.takes = supported_contexts(reports=self._hear is not None)
        server.judge = self._judge
        server.identify = self._identify
        server.places, server.places_of_titles = places, titles
        server.at_limit = self._at_limit
        server.patience_s = self._limits.association_timeout_s
        server.tls = tls
        server.refused = self._tell_refused
        return server

    def stop(self, grace_s: float) -> None:
        """Accepts no more associations, waits `grace_s` seconds for the open ones to end, and aborts the rest."""
        self._hosts.stop()
        associations = [association for server in self._servers for association in server.active_associations]
        for server in self._servers:
            server.shutdown()
        self._servers = []
        deadline = time.monotonic() + grace_s
        for association in associations:
            association.join(timeout=max(0.0, deadline - time.monotonic()))
        _abort([association for association in associations if association.is_alive()])

    def _judge(self, names: Names, address: str, certificate: frozenset[str] | None) -> Refusal | None:
        if names.called != self._ae.ae_title.strip():
            return Refusal(*_UNKNOWN_CALLED, f"{names.calling!r} at {address} calls {names.called!r}")
        found = self._known(names.calling, address, certificate)
        if any(found.values()):
            return None
        if None in found.values():
            return Refusal(*_NOT_NOW, f"the host of sender {names.calling!r} does not resolve so far")
        return Refusal(*_UNKNOWN_CALLER, f"{names.calling!r} at {address} is not among the senders{_by(certificate)}")

    def _identify(
        self, names: Names, address: str, certificate: frozenset[str] | None, stated: UserIdentity | None
    ) -> Refusal | Admission:
        known = self._known(names.calling, address, certificate)
        refusal = Refusal(*_UNKNOWN_CALLER, f"{names.calling!r} at {address} is not among the senders")
        who, failed = f"{names.calling} {address}", False
        waits = self._throttle.wait_s(who) > 0
        for demand in (sender.user for sender, is_at in known.items() if is_at):
            if demand is None:
                return Admission()
            if waits:
                says = "did not prove its user several times, and must wait: up to 15 minutes, twice as long each time"
                refusal = Refusal(*_NOT_NOW, f"{names.calling!r} at {address} {says}")
                continue
            try:
                user = demand.user_of(stated)
                self._throttle.succeeded(who)
                return Admission(user, answers=stated is not None and stated.wants_answer)
            except NotIdentified as why:
                failed = True
                refusal = Refusal(*_NOT_IDENTIFIED, f"{names.calling!r} at {address} {why}")
            except ProofUnusable as why:
                refusal = Refusal(*_NOT_NOW, f"the user of {names.calling!r} cannot be known: {why}")
        if failed:
            self._throttle.failed(who)
        return refusal

    def _limit_caller(self, event: evt.Event) -> None:
        """Limits the presentation contexts of an accepted caller: a sender with stores=False may not store."""
        title = (cast(A_ASSOCIATE, event.assoc.requestor.primitive).calling_ae_title or "").strip()
        connection = event.assoc.dul.socket.socket if event.assoc.dul.socket is not None else None
        certificate = names_of(connection) if isinstance(connection, ssl.SSLSocket) else None
        found = self._known(title, event.assoc.requestor.address, certificate)
        if not any(is_at and sender.stores for sender, is_at in found.items()):
            event.assoc.acceptor.supported_contexts = supported_contexts(stores=False, reports=self._hear is not None)

    def _report_refused_classes(self, event: evt.Event) -> None:
        refused = [context for context in event.assoc.rejected_contexts if context.result == _ABSTRACT_SYNTAX_REFUSED]
        if refused and self._refused_classes is not None:
            title = event.assoc.requestor.ae_title.strip()
            self._refused_classes(title, sorted({str(context.abstract_syntax) for context in refused}))

    def _known(self, title: str, address: str, certificate: frozenset[str] | None) -> dict[AllowedSender, bool | None]:
        """The senders with this AE title, and whether each is at `address` with this certificate; None: its host name
        is not resolved yet."""
        return {
            sender: not (sender.certificates and sender.certificates.isdisjoint(certificate or ()))
            and (sender.host is None or self._hosts.is_at(sender.host, address))
            for sender in self._senders
            if sender.ae_title.strip() == title
        }

    def _open(
        self, calling_ae_title: str, command: Dataset, transfer_syntax_uid: str, refused: Answer | None
    ) -> IncomingFile:
        refused = refused or self._intake.refusal(calling_ae_title)
        head = b"" if refused else head_of(command, transfer_syntax_uid)
        return IncomingFile(self._incoming, head, self._limits.max_image_bytes, refused)

    def _store(self, event: evt.Event) -> Dataset:
        file = cast(StreamingDIMSE, event.assoc.dimse).arrived.pop(event.dataset_path, None)
        answer = Answer(Status.TRUNCATED, "a request without a data set")
        if file is not None:
            try:
                file.finish()
                if file.fault is not None and file.fault.status is Status.NO_STORAGE:
                    log.error("an instance was not taken: %s", file.fault.comment)
                answer = file.fault or self._accept(event, file.sha256)
            except Exception as error:  # noqa: BLE001 - an error of the node: the sender gets a failure
                answer = Answer(Status.PROCESSING_FAILURE, "a fault of the node's own: its log says more")
                # The place of the error only: its message may contain patient data.
                log.error("%s while an instance was taken, at %s", type(error).__name__, _where(error))
            finally:
                file.discard()
        if answer.status is not Status.SUCCESS:
            self._tell_not_taken(event.assoc.requestor.ae_title.strip(), answer)
        response = Dataset()
        response.Status = int(answer.status)
        if answer.comment:
            response.ErrorComment = answer.comment
        return response

    def _accept(self, event: evt.Event, sha256: str) -> Answer:
        request, context = cast(C_STORE, event.request), event.context
        if request.AffectedSOPClassUID != context.abstract_syntax:
            return Answer(Status.DOES_NOT_MATCH, "SOP class is not that of the presentation context")
        return self._intake.accept(
            ReceivedFile(
                path=event.dataset_path,
                calling_ae_title=event.assoc.requestor.ae_title.strip(),
                peer=event.assoc.requestor.address,
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                transfer_syntax_uid=str(context.transfer_syntax),
                priority=int(request.Priority),
                sha256=sha256,
                user=cast(StreamingDIMSE, event.assoc.dimse).user,
            )
        )


def _accept_user(_event: evt.Event) -> tuple[bool, bytes]:
    """The positive response to a user identity that the gate has accepted already. It is empty for a name, and for a
    token (PS3.7 table D.3-15)."""
    return True, b""


def _by(certificate: frozenset[str] | None) -> str:
    """How a caller that is refused came, for the log."""
    if certificate is None:
        return ""
    return f" by TLS, with a certificate of {', '.join(sorted(certificate)) or 'nobody'}"


def _where(error: Exception) -> str:
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)[::-1])


def _abort(associations: Sequence[Association]) -> None:
    """Aborts all associations in parallel."""
    aborting = [
        threading.Thread(target=_abort_association, args=(association,), daemon=True) for association in associations
    ]
    for thread in aborting:
        thread.start()
    deadline = time.monotonic() + _ABORTED_WITHIN_S
    for thread in aborting:
        thread.join(timeout=max(0.0, deadline - time.monotonic()))


def _abort_association(association: Association) -> None:
    """Aborts an association whose peer may hang: closing the socket wakes the thread that waits for it."""
    wake = threading.Timer(0.5, association.dul.socket._shutdown_socket) if association.dul.socket else None
    if wake:
        wake.start()
    association.abort()
    association.join(timeout=_ABORTED_WITHIN_S)
    if wake:
        wake.cancel()
