"""Retrieval from peers that fail: wrong answers, a full disk, endless data."""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made from tables at run time
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from retrieving import MG, NODE, STUDY, SYNTAXES, an_image
from wire import IMPLICIT, Wire, item, pdu

from dicom_io.errors import NoRoom, Rejected, Unreachable
from dicom_io.network.holdings import HeldInstance
from dicom_io.network.peer import Peer
from dicom_io.network.retrieve import DicomSource
from dicom_io.network.wado import WebSource
from dicom_io.network.web_peer import WebPeer

pytestmark = pytest.mark.slow


class BrokenPacs:
    """A peer that answers C-GET and C-MOVE as the test sets it."""

    def __init__(self, *classes: object) -> None:
        self.answers: list[tuple[int, Dataset | None]] = []
        self.announced = 0
        self.ae = AE("PACS")
        for sop_class in classes:
            self.ae.add_supported_context(sop_class)
        self.ae.add_supported_context(MG, list(SYNTAXES), scu_role=True, scp_role=True)
        self._server = self.ae.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[(evt.EVT_C_GET, self._get), (evt.EVT_C_MOVE, self._move)],
        )

    def source(self, move_to: str | None = None) -> DicomSource:
        return DicomSource(Peer("PACS", "127.0.0.1", self._server.socket.getsockname()[1], 5, NODE), move_to)

    def stop(self) -> None:
        self._server.shutdown()

    def _get(self, event: evt.Event) -> Iterator[object]:
        yield self.announced
        yield from self.answers

    def _move(self, event: evt.Event) -> Iterator[object]:
        yield None, None  # pynetdicom's value for an unknown destination


@pytest.fixture
def broken_pacs() -> Iterator[Callable[..., BrokenPacs]]:
    started: list[BrokenPacs] = []

    def start(*classes: object) -> BrokenPacs:
        started.append(BrokenPacs(*classes))
        return started[-1]

    yield start
    for pacs in started:
        pacs.stop()


WANTED = [HeldInstance(f"{STUDY}.1", f"{STUDY}.1.{number}", MG) for number in range(2)]


def test_failed_sub_operations_are_counted_and_received_instances_are_kept(broken_pacs, tmp_path):
    """The second image is damaged at the PACS: its C-STORE never comes, and the last answer brings a data set."""
    pacs = broken_pacs(StudyRootQueryRetrieveInformationModelGet)
    other = an_image(9, ExplicitVRLittleEndian)
    other.SOPClassUID = ComprehensiveSRStorage  # for which no context was negotiated
    pacs.announced, pacs.answers = 2, [(0xFF00, an_image(0, ExplicitVRLittleEndian)), (0xFF00, other)]
    retrieved = pacs.source().retrieve(STUDY, WANTED, tmp_path, lambda done: None)
    assert retrieved.arrived == 1
    assert dcmread(retrieved.files[0]).PixelData == an_image(0, ExplicitVRLittleEndian).PixelData
    assert "1 of 2 sub-operations failed (status 0xB000)" in retrieved.faults[0]


def test_a_pacs_without_c_get_is_reported_with_the_setting_to_change(broken_pacs, tmp_path):
    with pytest.raises(Rejected, match='set retrieve = "c-move"'):
        broken_pacs().source().retrieve(STUDY, WANTED, tmp_path, lambda done: None)


def test_the_status_move_destination_unknown_is_reported_in_words(broken_pacs, tmp_path):
    pacs = broken_pacs(StudyRootQueryRetrieveInformationModelMove)
    with pytest.raises(Rejected, match=r"0xA801 \(move destination unknown\): it must know the AE title NODE"):
        pacs.source(move_to="NODE").retrieve(STUDY, WANTED, tmp_path, lambda done: None)


def test_a_full_disk_ends_the_c_get_and_leaves_no_partial_file(broken_pacs, tmp_path, monkeypatch):
    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "no space")

    pacs = broken_pacs(StudyRootQueryRetrieveInformationModelGet)
    pacs.announced, pacs.answers = 2, [(0xFF00, an_image(number, ExplicitVRLittleEndian)) for number in range(2)]
    monkeypatch.setattr("dicom_io.network.incoming.os.write", full)
    with pytest.raises(NoRoom, match="nearly full"):
        pacs.source().retrieve(STUDY, WANTED, tmp_path, lambda done: None)
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_does_not_listen_is_unreachable(closed_port):
    for source in (
        DicomSource(Peer("PACS", "127.0.0.1", closed_port, 2, NODE)),
        WebSource(WebPeer(f"http://127.0.0.1:{closed_port}", 2)),
    ):
        with pytest.raises(Unreachable, match=str(closed_port)):
            source.studies("StudyInstanceUID", STUDY)


def _accepted(request: bytes) -> bytes:
    """The A-ASSOCIATE-AC to a request's body, of its first context in the default transfer syntax."""
    body = struct.pack(">HH", 1, 0) + request[4:36] + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1")
    body += item(0x21, struct.pack(">BxBx", 1, 0) + item(0x40, IMPLICIT.encode()))
    return pdu(2, body + item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3")))


def _without_an_end(wire: Wire) -> None:
    wire.send(struct.pack(">BxL", 4, 0xFFFFFFFF))
    while True:
        wire.send(bytes(1 << 20))


def _by_the_byte(wire: Wire) -> None:
    wire.send(struct.pack(">BxL", 4, 10_000))
    while True:
        wire.send(b"\0")
        time.sleep(0.05)


@pytest.mark.parametrize("sends", [_without_an_end, _by_the_byte])
def test_a_source_that_sends_an_endless_pdu_is_disconnected(sends: Callable[[Wire], None], tmp_path: Path) -> None:
    """A PDU of 4 GiB is not loaded, and one that arrives byte by byte is not awaited longer than the time-out."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with Wire(server.accept()[0]) as wire, suppress(OSError):
                wire.send(_accepted(wire.pdu()[1]))
                wire.pdu()
                sends(wire)

        peer = threading.Thread(target=answer)
        peer.start()
        source = DicomSource(Peer("PACS", "127.0.0.1", server.getsockname()[1], 3, NODE))
        with pytest.raises(Unreachable, match="broke the association"):
            source.retrieve(STUDY, WANTED, tmp_path, lambda _: None)
        peer.join(timeout=120)
        assert not peer.is_alive(), "its connection was closed"
    assert not list(tmp_path.iterdir())
