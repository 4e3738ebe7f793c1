"""Storage commitment (PS3.4 Annex J, push model): the node asks a peer to commit to keep the instances it was sent.

The node asks by N-ACTION. The peer reports by N-EVENT-REPORT, over the same association or over one that it
opens to the node's listener (section J.3.3.1.3). `answer_report` answers both.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import error as StructError
from typing import cast

from pydicom import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pynetdicom import build_context, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu import P_DATA_TF

from dicom_io.attributes import items, number, text, uid
from dicom_io.errors import NotReadable, Unreachable
from dicom_io.network.peer import Peer
from dicom_io.network.scp_contexts import STORAGE_COMMITMENT

log = logging.getLogger(__name__)

_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known SOP instance (PS3.4 section J.3.5)
_REQUEST = 1  # Action Type ID (table J.3-1)
_LINGER_S = 1.0
"""How long the association stays open for a report. Most peers open an association of their own."""
_MALFORMED = (
    NotReadable,
    InvalidDicomError,
    BytesLengthException,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
    StructError,
)
DUPLICATE_TRANSACTION = 0x0131
"""The Failure Reason (PS3.3 section C.14.1.1) that concerns the request only, and not its instances."""


class _Event(IntEnum):
    """Event Type IDs (PS3.4 table J.3-2)."""

    ALL_COMMITTED = 1
    FAILURES_EXIST = 2


class ReportStatus(IntEnum):
    """The status with which a report is answered (PS3.7 section 10.1.1.1.8)."""

    SUCCESS = 0x0000
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT = 0x0115
    """A data set that is no report, or a transaction that the node did not request."""
    NO_SUCH_SOP_CLASS = 0x0118


@dataclass(frozen=True)
class Reference:
    """An instance that was sent to a peer."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class CommitmentReport:
    """A peer's report on a request.

    Attributes:
        committed: SOP Instance UIDs that the peer commits to keep.
        failed: Failure Reason (PS3.3 section C.14.1.1) by SOP Instance UID, of those that it does not.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


Hear = Callable[[CommitmentReport], bool]
"""Records a report, from any thread; returns False if the node did not request its transaction."""


def ask_commitment(
    peer: Peer, transaction_uid: str, references: Sequence[Reference], hear: Hear, linger_s: float = _LINGER_S
) -> None:
    """Requests commitment. On return the peer has accepted the request, and a report that it sent over this association
    within `linger_s` seconds was recorded. A report may arrive before the answer to the request.

    Raises:
        Unreachable: no answer in time; the peer may have accepted the request nevertheless.
        Rejected: the peer does not support storage commitment, or refuses the request.
    """
    heard, over = threading.Event(), threading.Event()

    def report(event: evt.Event) -> tuple[int, None]:
        answer = answer_report(event, hear)
        heard.set()
        return answer

    def sent(event: evt.Event) -> None:
        if heard.is_set() and isinstance(event.pdu, P_DATA_TF):  # the answer to the report was sent
            over.set()

    association = peer.associate(
        [build_context(STORAGE_COMMITMENT)],
        handlers=[
            (evt.EVT_N_EVENT_REPORT, report),
            (evt.EVT_PDU_SENT, sent),
            (evt.EVT_CONN_CLOSE, lambda _: over.set()),
        ],
    )
    try:
        answer, _ = association.send_n_action(
            _request(transaction_uid, references), _REQUEST, STORAGE_COMMITMENT, _INSTANCE
        )
        peer.must_not_fail(answer)
        over.wait(linger_s)
    except RuntimeError as error:
        raise Unreachable(f"{peer} broke the association") from error
    finally:
        association.release()


def offer_commitment(peer: Peer) -> None:
    """Checks that the peer accepts the service, without a request.

    Raises:
        Unreachable, Rejected, NotAccepted: as for `Peer.associate`.
    """
    peer.associate([build_context(STORAGE_COMMITMENT)]).release()


def answer_report(event: evt.Event, hear: Hear) -> tuple[int, None]:
    """pynetdicom's handler for N-EVENT-REPORT: passes the report to `hear`, and returns the status."""
    request = cast(N_EVENT_REPORT, event.request)
    if request.AffectedSOPClassUID != STORAGE_COMMITMENT:
        return ReportStatus.NO_SUCH_SOP_CLASS, None
    if request.EventTypeID not in tuple(_Event):
        return ReportStatus.NO_SUCH_EVENT_TYPE, None
    try:
        report = _report(event)
    except (*_MALFORMED, OSError) as error:  # its message may quote the data set; the OSError comes from pydicom
        log.warning("a storage commitment report that cannot be read (%s)", type(error).__name__)
        return ReportStatus.INVALID_ARGUMENT, None
    if not hear(report):
        log.warning("a storage commitment report on a transaction that is not known here")
        return ReportStatus.INVALID_ARGUMENT, None
    return ReportStatus.SUCCESS, None


def _request(transaction_uid: str, references: Sequence[Reference]) -> Dataset:
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_item(reference) for reference in references]
    return request


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _report(event: evt.Event) -> CommitmentReport:
    information = event.event_information
    failed = {
        text(item, "ReferencedSOPInstanceUID"): int(number(item, "FailureReason") or 0)
        for item in items(information, "FailedSOPSequence")
    }
    kept = {text(item, "ReferencedSOPInstanceUID") for item in items(information, "ReferencedSOPSequence")}
    return CommitmentReport(uid(information, "TransactionUID"), frozenset(kept - failed.keys()), failed)
