"""The listener: takes what senders store, streams it to disk and asks an Intake what to answer."""

from __future__ import annotations

import logging
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
from dicom_io.network.scp_contexts import supported_contexts
from dicom_io.network.scp_gate import Refusal
from dicom_io.network.scp_messages import StreamingDIMSE
from dicom_io.network.scp_request import Names
from dicom_io.network.scp_stream import ReceivingServer, StreamingHandler

log = logging.getLogger(__name__)

# A-ASSOCIATE-RJ (PS3.8 section 9.3.4): rejected-permanent by the service-user
_ABORTED_WITHIN_S = 2.0
_ABSTRACT_SYNTAX_REFUSED = 3  # a presentation context's result (PS3.8 table 9-18)
_UNKNOWN_CALLER, _UNKNOWN_CALLED = (1, 1, 3), (1, 1, 7)
_NOT_NOW = (2, 1, 1)


@dataclass(frozen=True)
class ReceivedFile:
    """A data set that has come whole, as a Part 10 file whose bytes are on the disk (its name may not be yet).

    Attributes:
        path: in the incoming folder; whoever accepts the file moves it away, what is left there is removed.
        calling_ae_title: who sent it.
        peer: the address it came from.
        sop_class_uid, sop_instance_uid, transfer_syntax_uid: as the request says, unchecked.
    """

    path: Path
    calling_ae_title: str
    peer: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


class Intake(Protocol):
    """Decides what becomes of what is received. Called by many threads at once."""

    def refusal(self) -> Answer | None:
        """Asked before a data set comes: the answer if nothing can be taken now, so that nothing is written."""

    def accept(self, received: ReceivedFile) -> Answer:
        """Success is a promise: what was sent must outlive a power cut by the time this returns."""


@dataclass(frozen=True)
class AllowedSender:
    """Who may associate: an AE title, and the host name or address it must come from, if one is given.

    Attributes:
        stores: False for one that may do no more than report on storage commitments.
    """

    ae_title: str
    host: str | None = None
    stores: bool = True


@dataclass(frozen=True)
class ListenerLimits:
    """What one listener takes on.

    Attributes:
        max_associations: at once; one more is rejected for now.
        max_associations_per_peer: of them for one address.
        max_pdu_bytes: what senders are told to keep their PDUs to.
        association_timeout_s: within which a connection must have asked for an association.
        idle_timeout_s: after which an association without a sign of life is aborted; within which a PDU must have come.
        max_image_bytes: the largest data set.
    """

    max_associations: int = 32
    max_associations_per_peer: int = 16
    max_pdu_bytes: int = 131072
    association_timeout_s: float = 10
    idle_timeout_s: float = 60
    max_image_bytes: int = 1 << 30


RefusedClasses = Callable[[str, Sequence[str]], None]
"""Told of an association's calling AE title and the SOP Class UIDs that it proposed and this node does not take."""


class Listener:
    """C-ECHO and C-STORE SCP, which also hears reports on storage commitments where somebody wants to `hear` them.

    An AE title that is not in `senders` is rejected; without senders, everybody is.
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
    ) -> None:
        """`look_up`: finds the addresses of a host name; it may take its time, and never keeps anybody waiting."""
        self._hosts = HostNames(look_up)
        self._address = (host, port)
        self._senders = tuple(senders)
        self._incoming = incoming
        self._intake = intake
        self._limits = limits
        self._hear = hear
        self._refused_classes = refused_classes
        self._server: ReceivingServer | None = None
        self._ae = AE(ae_title)
        self._ae.add_supported_context(Verification)  # pynetdicom serves nobody without; what is taken is told below
        self._ae.maximum_associations = 2 * limits.max_associations  # the places are counted at the gate
        self._ae.maximum_pdu_size = limits.max_pdu_bytes
        self._ae.network_timeout = limits.idle_timeout_s

    @property
    def port(self) -> int:
        """The port that is listened on; the one that the system chose where 0 was asked for."""
        return self._address[1]

    def start(self) -> None:
        """Listens from now on. What an earlier process left half received is removed: it was never acknowledged.

        Raises:
            NotListening: the port is taken, or the address is none of this machine's.
            OSError: the incoming folder cannot be made.
        """
        self._incoming.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.glob("*.part"):
            leftover.unlink()
        reports = [] if self._hear is None else [(evt.EVT_N_EVENT_REPORT, answer_report, [self._hear])]
        try:
            server = self._ae.make_server(
                self._address,
                evt_handlers=[
                    (evt.EVT_REQUESTED, self._limit_caller),
                    (evt.EVT_ACCEPTED, self._tell_refused_classes),
                    (evt.EVT_C_STORE, self._store),
                    *reports,
                ],
                server_class=ReceivingServer,
                request_handler=StreamingHandler,
            )
        except OSError as error:
            host, port = self._address
            raise NotListening(
                f"Cannot listen on {host}:{port}: {error.strerror}. Set another receiver.port or receiver.host."
            ) from error
        server = cast(ReceivingServer, server)
        server.open_file = self._open
        server.takes = supported_contexts(reports=self._hear is not None)
        server.judge = self._judge
        self._hosts.watch(sender.host for sender in self._senders if sender.host is not None)
        server.places = Places(self._limits.max_associations, self._limits.max_associations_per_peer)
        server.patience_s = self._limits.association_timeout_s
        self._ae._servers.append(server)  # type: ignore[arg-type]  # its shutdown() takes it from this list
        self._server = server
        self._address = (self._address[0], server.server_address[1])
        threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()

    def stop(self, grace_s: float) -> None:
        """Takes no more associations, gives those that run `grace_s` seconds to end, and aborts the rest."""
        self._hosts.stop()
        if self._server is None:
            return
        associations = self._server.active_associations
        self._server.shutdown()
        self._server = None
        deadline = time.monotonic() + grace_s
        for association in associations:
            association.join(timeout=max(0.0, deadline - time.monotonic()))
        _abort([association for association in associations if association.is_alive()])

    def _judge(self, names: Names, address: str) -> Refusal | None:
        if names.called != self._ae.ae_title.strip():
            return Refusal(*_UNKNOWN_CALLED, f"{names.calling!r} at {address} calls {names.called!r}")
        found = self._known(names.calling, address)
        if any(found.values()):
            return None
        if None in found.values():
            return Refusal(*_NOT_NOW, f"the host of sender {names.calling!r} does not resolve so far")
        return Refusal(*_UNKNOWN_CALLER, f"{names.calling!r} at {address} is not among the senders")

    def _limit_caller(self, event: evt.Event) -> None:
        """What a caller may do whom the gate has let in."""
        title = (cast(A_ASSOCIATE, event.assoc.requestor.primitive).calling_ae_title or "").strip()
        found = self._known(title, event.assoc.requestor.address)
        if not any(is_at and sender.stores for sender, is_at in found.items()):
            event.assoc.acceptor.supported_contexts = supported_contexts(stores=False, reports=self._hear is not None)

    def _tell_refused_classes(self, event: evt.Event) -> None:
        refused = [context for context in event.assoc.rejected_contexts if context.result == _ABSTRACT_SYNTAX_REFUSED]
        if refused and self._refused_classes is not None:
            title = event.assoc.requestor.ae_title.strip()
            self._refused_classes(title, sorted({str(context.abstract_syntax) for context in refused}))

    def _known(self, title: str, address: str) -> dict[AllowedSender, bool | None]:
        """The senders of this title, and whether each is at `address`; None: its host name has not been found yet."""
        return {
            sender: sender.host is None or self._hosts.is_at(sender.host, address)
            for sender in self._senders
            if sender.ae_title.strip() == title
        }

    def _open(self, command: Dataset, transfer_syntax_uid: str, refused: Answer | None) -> IncomingFile:
        refused = refused or self._intake.refusal()
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
                answer = file.fault or self._asked(event)
            except Exception as error:  # noqa: BLE001 - a fault of ours: the sender is told that it failed
                answer = Answer(Status.PROCESSING_FAILURE, "a fault of the node's own: its log says more")
                # Where it was, and not what it says: that may quote the patient.
                log.error("%s while an instance was taken, at %s", type(error).__name__, _where(error))
            finally:
                file.discard()
        response = Dataset()
        response.Status = int(answer.status)
        if answer.comment:
            response.ErrorComment = answer.comment
        return response

    def _asked(self, event: evt.Event) -> Answer:
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
            )
        )


def _where(error: Exception) -> str:
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)[::-1])


def _abort(associations: Sequence[Association]) -> None:
    """Aborts them together."""
    aborting = [threading.Thread(target=_abort_one, args=(association,), daemon=True) for association in associations]
    for thread in aborting:
        thread.start()
    deadline = time.monotonic() + _ABORTED_WITHIN_S
    for thread in aborting:
        thread.join(timeout=max(0.0, deadline - time.monotonic()))


def _abort_one(association: Association) -> None:
    """Also where its peer has gone silent: a thread that waits for it wakes when the socket is closed."""
    wake = threading.Timer(0.5, association.dul.socket._shutdown_socket) if association.dul.socket else None
    if wake:
        wake.start()
    association.abort()
    association.join(timeout=_ABORTED_WITHIN_S)
    if wake:
        wake.cancel()
