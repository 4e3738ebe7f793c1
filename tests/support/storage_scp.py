"""A storage SCP for tests of delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pynetdicom import AE, evt

from dicom_io.results.outputs import OUTPUTS


class StorageScp:
    """Listens on 127.0.0.1, accepts every kind of result, and keeps the stored data sets in order.

    Attributes:
        answer: gives the status of each C-STORE; a data set that is not answered 0x0000 is not kept.
        port: chosen at the first start, and the same afterwards.
    """

    def __init__(self) -> None:
        self.answer: Callable[[evt.Event], int | Dataset] = lambda _: 0x0000
        self.stored: list[Dataset] = []
        self.associations = 0
        self.port = 0

    @property
    def uids(self) -> list[str]:
        """The SOP Instance UIDs of the stored data sets."""
        return [dataset.SOPInstanceUID for dataset in self.stored]

    @contextmanager
    def listening(self) -> Iterator[StorageScp]:
        ae = AE("PACS")
        for sop_class_uid in {output.content.sop_class_uid for output in OUTPUTS.values()}:
            ae.add_supported_context(sop_class_uid)
        server = ae.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_ACCEPTED, self._count)],
        )
        assert server is not None
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            server.shutdown()

    def _store(self, event: evt.Event) -> int | Dataset:
        status = self.answer(event)
        if status == 0x0000:
            self.stored.append(event.dataset)
        return status

    def _count(self, event: evt.Event) -> None:
        self.associations += 1
