"""A PACS with storage commitment that reports as the test sets it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made from tables at run time
    Comprehensive3DSRStorage,
    SegmentationStorage,
    StorageCommitmentPushModel,
)
from requesting import request

WELL_KNOWN = "1.2.840.10008.1.20.1.1"


def report(transaction_uid: str, committed: Iterable[str] = (), failed: Mapping[str, int] | None = None) -> Dataset:
    """What an N-EVENT-REPORT brings (PS3.4 table J.3-2)."""
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    dataset.ReferencedSOPSequence = [_item(uid) for uid in committed]
    if failed:
        dataset.FailedSOPSequence = [_item(uid) for uid in failed]
        for item in dataset.FailedSOPSequence:
            item.FailureReason = failed[item.ReferencedSOPInstanceUID]
    return dataset


def _item(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = SegmentationStorage
    item.ReferencedSOPInstanceUID = uid
    return item


class CommittingPacs:
    """A storage and storage commitment SCP on 127.0.0.1.

    Attributes:
        storage: the SOP classes it takes.
        commits: whether it does storage commitment.
        action_status: what requests are answered with.
        at_request, afterwards: called with each request and its association before and after it is answered.
        stored, asked: SOP Instance UIDs and requests, in the order in which they came.
    """

    def __init__(self) -> None:
        self.storage = [SegmentationStorage, Comprehensive3DSRStorage]
        self.commits = True
        self.action_status = 0x0000
        self.at_request: Callable[[Association, Dataset], object] = lambda association, request: None
        self.afterwards: Callable[[Association, Dataset], object] | None = None
        self.stored: list[str] = []
        self.asked: list[Dataset] = []
        self.port = 0

    @contextmanager
    def listening(self) -> Iterator[CommittingPacs]:
        ae = AE("PACS")
        for sop_class in (*self.storage, *([StorageCommitmentPushModel] if self.commits else [])):
            ae.add_supported_context(sop_class)
        handlers: list[EventHandlerType] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._action),
            (evt.EVT_PDU_SENT, self._answered),
        ]
        server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        assert server is not None
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            server.shutdown()

    def _store(self, event: evt.Event) -> int:
        assert isinstance(event.request, C_STORE)
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _action(self, event: evt.Event) -> tuple[int, None]:
        request = event.action_information
        self.asked.append(request)
        self.at_request(event.assoc, request)
        return self.action_status, None

    def _answered(self, event: evt.Event) -> None:
        if self.afterwards is not None and self.asked and isinstance(event.pdu, P_DATA_TF):
            tell, self.afterwards = self.afterwards, None
            threading.Thread(target=tell, args=(event.assoc, self.asked[-1])).start()


def requested(request: Dataset) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence]


def report_over(association: Association, dataset: Dataset | None, event_type: int = 1) -> int:
    """Sends a report; returns the status of the answer."""
    answer, _ = association.send_n_event_report(dataset, event_type, StorageCommitmentPushModel, WELL_KNOWN)
    return int(answer.Status)


@contextmanager
def reporting(
    port: int, title: str = "PACS", with_role: bool = True, also: Sequence[str] = ()
) -> Iterator[Association]:
    """An association that a PACS opens to report over; it proposes itself as the provider (SCP)."""
    ae = AE(title)
    roles: list[Any] = [build_role(StorageCommitmentPushModel, scp_role=True)] if with_role else []
    contexts = [build_context(StorageCommitmentPushModel), *map(build_context, also)]
    association = request(ae, port, contexts=contexts, items=roles)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
