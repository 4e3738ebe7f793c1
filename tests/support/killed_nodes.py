"""Nodes that tests kill, and a PACS that records what it got of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from running import RunningNode
from sqlalchemy import select

from dicom_io.network.peer import Peer
from dicom_io.network.scu import send_files
from node.store.states import DeliveryState, JobKind, JobState, StudyState
from node.store.tables import Delivery, Job, Study

SETTINGS = """
[[senders]]
ae_title = "TEST"
[closing]
four_views_quiet_s = 1
quiet_s = {quiet_s}
[reader]
bundle = "{bundle}"
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
retry_first_s = 1
"""


class Pacs:
    """A PACS that records what it has received and can be made to wait while it receives."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, str]] = []
        self.held_up = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.port = 0

    @contextmanager
    def listening(self) -> Iterator[Pacs]:
        ae = AE("PACS")
        for context in (SegmentationStorage, Comprehensive3DSRStorage):
            ae.add_supported_context(context)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        assert server is not None
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            self.go_on.set()
            server.shutdown()

    def of(self, sop_class: str) -> list[str]:
        return [uid for kind, uid in self.stored if kind == sop_class]

    def _store(self, event: evt.Event) -> int:
        request = event.request
        assert isinstance(request, C_STORE)
        self.stored.append((str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)))
        self.held_up.set()
        self.go_on.wait()
        return 0x0000


def send(node: RunningNode, *files: Path) -> None:
    for sent in send_files(Peer("MAMMO_NODE", "127.0.0.1", node.port, 30, "TEST"), files):
        assert sent.error is None


def running(node: RunningNode, kind: JobKind) -> bool:
    with node.database() as session:
        query = select(Job.id).where(Job.kind == kind, Job.state == JobState.RUNNING)
        return session.scalars(query).first() is not None


def all_sent(node: RunningNode) -> bool:
    with node.database() as session:
        states = session.scalars(select(Study.state)).all()
        deliveries = session.scalars(select(Delivery.state)).all()
    return set(states) == {StudyState.REPORTED} and set(deliveries) == {DeliveryState.SENT}
