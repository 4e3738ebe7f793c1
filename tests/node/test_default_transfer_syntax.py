"""A destination that supports only Implicit VR Little Endian gets every result, complete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, ImplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, evt
from road import Road

from dicom_io.network.peer import Peer
from dicom_io.network.scu import CStoreDestination
from node.demo.studies import DemoStudy


@pytest.fixture
def received() -> dict[str, Dataset]:
    return {}


@pytest.fixture
def plain_pacs(received: dict[str, Dataset]) -> Iterator[int]:
    """Its port."""

    def keep(event: evt.Event) -> int:
        assert event.context.transfer_syntax == ImplicitVRLittleEndian
        received[event.dataset.SOPInstanceUID] = event.dataset
        return 0x0000

    ae = AE("PLAIN")
    for sop_class in (SegmentationStorage, Comprehensive3DSRStorage):
        ae.add_supported_context(sop_class, ImplicitVRLittleEndian)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    yield server.socket.getsockname()[1]
    server.shutdown()


def test_a_destination_of_the_default_transfer_syntax_gets_the_same_seg_and_sr(
    plain_pacs: int, received: dict[str, Dataset], mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    road = Road(tmp_path / "data")
    road.all_of_it(*mammogram_study.files)
    with CStoreDestination(Peer("PLAIN", "127.0.0.1", plain_pacs, 20, "MAMMO_NODE")) as destination:
        for path in sorted((road.data_dir / "results").rglob("*.dcm")):
            destination.send(path)
    written = {dcmread(path).SOPInstanceUID: dcmread(path) for path in (road.data_dir / "results").rglob("*.dcm")}
    assert len(written) == 5
    assert received.keys() == written.keys()
    assert all(values(received[uid]) == values(written[uid]) for uid in written)


def values(dataset: Dataset) -> list[tuple[int, object]]:
    """Every value, in order. (The VR of the pixels is OW in one and OB in the other: PS3.5 annex A.)"""
    return [(element.tag, element.value) for element in dataset.iterall() if element.VR != "SQ"]
