"""A pynetdicom peer that keeps what it gets."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.uid import (
    AllTransferSyntaxes,
    DigitalMammographyXRayImageStorageForPresentation,
    SegmentationStorage,
)
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made from tables at run time
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from dicom_io.network.peer import Peer

MG = DigitalMammographyXRayImageStorageForPresentation
CALLING = "MAMMO_NODE"


class Pacs:
    """A peer that keeps what it gets and counts associations."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, bytes]] = {}
        self.associations = 0
        self.store_status = 0x0000
        self.find_answers: list[tuple[int, Dataset | None]] = []
        self.ae = AE("PACS")
        for sop_class in (MG, SegmentationStorage):
            self.ae.add_supported_context(sop_class, AllTransferSyntaxes)
        self.ae.add_supported_context(Verification)
        self.ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)

    def start(self) -> None:
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_ACCEPTED, self._accepted),
        ]
        server = self.ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert server is not None
        self._server, self.port = server, server.server_address[1]

    def stop(self) -> None:
        self._server.shutdown()

    def hang_up(self) -> None:
        """Aborts what associations there are, as a PACS does with those that idle."""
        for association in self._server.active_associations:
            association.abort()

    def as_peer(self, ae_title: str = "PACS", timeout_s: float = 60) -> Peer:
        return Peer(ae_title, "127.0.0.1", self.port, timeout_s, CALLING)

    def _accepted(self, event: evt.Event) -> None:
        self.associations += 1

    def _store(self, event: evt.Event) -> int:
        request = event.request
        assert isinstance(request, C_STORE)
        assert request.DataSet is not None
        self.kept[str(request.AffectedSOPInstanceUID)] = (event.context.transfer_syntax, request.DataSet.getvalue())
        return self.store_status

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield from self.find_answers
