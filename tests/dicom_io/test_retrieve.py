"""Studies retrieved from a real Orthanc by C-GET, C-MOVE and DICOMweb, and from peers that fail."""

from __future__ import annotations

import errno
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from orthanc import Orthanc, debian_orthanc
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made from tables at run time
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from transfer_syntaxes import encode
from wire import IMPLICIT, Wire, item, pdu

from dicom_io.errors import NoRoom, Rejected, Unreachable
from dicom_io.network.answers import Answer, Status
from dicom_io.network.holdings import FetchLimits, HeldInstance, Retrieved, Source
from dicom_io.network.peer import Peer
from dicom_io.network.retrieve import DicomSource
from dicom_io.network.scp import AllowedSender, Listener, ReceivedFile
from dicom_io.network.wado import WebSource
from dicom_io.network.web_peer import WebPeer
from dicom_io.uids import derive_uid

pytestmark = pytest.mark.slow

MG = DigitalMammographyXRayImageStorageForPresentation
STUDY = "1.2.826.0.1.3680043.8.498.77"
SYNTAXES = (ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless)
NODE = "PULLING"


def an_image(number: int, syntax: str) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = MG
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = derive_uid(STUDY, str(number))
    image.StudyInstanceUID = STUDY
    image.SeriesInstanceUID = derive_uid(STUDY, "series", str(number // 2))
    image.PatientID, image.PatientName, image.AccessionNumber = "SECRET-7", "Nobody", "ACC-1"
    image.Modality = "MG"
    image.Rows = image.Columns = 64
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = np.random.default_rng(number).integers(0, 4096, (64, 64), np.uint16).tobytes()
    return image if syntax == ExplicitVRLittleEndian else encode(image, syntax)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four images in two series, each in a transfer syntax of its own, by SOP Instance UID."""
    folder = tmp_path_factory.mktemp("stored")
    files = {}
    for number, syntax in enumerate(SYNTAXES):
        image = an_image(number, syntax)
        files[str(image.SOPInstanceUID)] = folder / f"{number}.dcm"
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return files


@pytest.fixture(scope="module")
def orthanc(stored: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Orthanc with the study, and with the node as a modality."""
    with debian_orthanc(tmp_path_factory.mktemp("orthanc")) as started:
        for path in stored.values():
            started.upload(path)
        yield started


class Kept:
    """An intake that stores everything from a listener."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[Path] = []

    def refusal(self) -> Answer | None:
        return None

    def accept(self, received: ReceivedFile) -> Answer:
        self.files.append(received.path.rename(self.folder / f"{received.sop_instance_uid}.dcm"))
        return Answer(Status.SUCCESS)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.fixture
def listener(kept: Kept, orthanc: Orthanc) -> Iterator[Listener]:
    """The destination of Orthanc's C-MOVE."""
    listening = Listener(NODE, "127.0.0.1", 0, [AllowedSender(orthanc.ae_title)], kept.folder, kept)
    listening.start()
    orthanc.knows_modality("pulling", NODE, "127.0.0.1", listening.port)
    yield listening
    listening.stop(grace_s=1)


def dicom_source(orthanc: Orthanc, move_to: str | None = None, calling: str = NODE) -> DicomSource:
    return DicomSource(Peer(orthanc.ae_title, orthanc.host, orthanc.dicom_port, 60, calling), move_to)


def web_source(orthanc: Orthanc) -> WebSource:
    if not orthanc.has_dicomweb:
        pytest.skip("this Orthanc has no DICOMweb plugin (Debian package orthanc-dicomweb)")
    return WebSource(WebPeer(f"{orthanc.url}/dicom-web", 20))


def fetched(source: Source, folder: Path) -> tuple[Retrieved, list[int]]:
    progress: list[int] = []
    return source.retrieve(STUDY, source.instances(STUDY), folder, progress.append), progress


def assert_same(files: list[Path], stored: dict[str, Path]) -> None:
    """Every image was retrieved once, as stored."""
    come = {str(image.SOPInstanceUID): image for image in map(dcmread, files)}
    assert come.keys() == stored.keys()
    assert len(files) == len(stored)
    for uid, path in stored.items():
        kept = dcmread(path)
        assert come[uid].file_meta.TransferSyntaxUID == kept.file_meta.TransferSyntaxUID
        assert come[uid].PixelData == kept.PixelData
        assert come[uid].file_meta.MediaStorageSOPClassUID == MG


@pytest.fixture(params=["dicom", "web"])
def source(request: pytest.FixtureRequest, orthanc: Orthanc, listener: Listener) -> Source:
    return dicom_source(orthanc) if request.param == "dicom" else web_source(orthanc)


@pytest.mark.parametrize(
    ("keyword", "value", "found"),
    [
        ("StudyInstanceUID", STUDY, [STUDY]),
        ("AccessionNumber", "ACC-1", [STUDY]),
        ("AccessionNumber", "ACC-2", []),
        ("StudyInstanceUID", STUDY + ".1", []),
    ],
)
def test_a_source_is_searched_by_uid_and_by_accession_number(source, keyword, value, found):
    assert source.studies(keyword, value) == found


def test_a_source_lists_each_instance_with_its_series_and_sop_class(source, stored):
    held = source.instances(STUDY)
    assert {instance.sop_instance_uid for instance in held} == stored.keys()
    assert {instance.sop_class_uid for instance in held} == {MG}
    assert len({instance.series_instance_uid for instance in held}) == 2


def test_a_study_of_many_transfer_syntaxes_is_retrieved_as_stored(source, stored, tmp_path):
    retrieved, progress = fetched(source, tmp_path)
    assert retrieved.faults == ()
    assert retrieved.arrived == 4
    assert progress == [1, 2, 3, 4]
    assert_same(list(retrieved.files), stored)


def test_a_study_is_moved_to_the_listener_as_stored(orthanc, listener, kept, stored, tmp_path):
    retrieved, progress = fetched(dicom_source(orthanc, move_to=NODE), tmp_path)
    assert (retrieved.arrived, retrieved.files, retrieved.faults) == (4, (), ())
    assert progress[-1] == 4
    assert_same(kept.files, stored)


@pytest.mark.usefixtures("listener")
def test_an_unknown_move_destination_is_reported_with_how_to_configure_it(orthanc, tmp_path):
    with pytest.raises(Rejected, match=r"must know the AE title STRANGER.*ORTHANC among its senders"):
        fetched(dicom_source(orthanc, move_to="STRANGER"), tmp_path)


def test_instances_missing_at_the_source_are_counted_and_the_others_are_retrieved(orthanc, listener, stored, tmp_path):
    source = web_source(orthanc)
    held = source.instances(STUDY)
    gone = HeldInstance(held[0].series_instance_uid, derive_uid(STUDY, "gone"), MG)
    retrieved = source.retrieve(STUDY, [gone, *held], tmp_path, lambda done: None)
    assert_same(list(retrieved.files), stored)
    (fault,) = retrieved.faults
    assert "404" in fault
    assert STUDY not in fault


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


@pytest.mark.parametrize("by", ["dicom", "web"])
def test_retrieval_stops_before_the_reserved_disk_space_is_used(by, orthanc, tmp_path, monkeypatch):
    """The disk has space for two of four images."""
    source = dicom_source(orthanc) if by == "dicom" else web_source(orthanc)
    instances = source.instances(STUDY)
    free = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda folder: free._replace(free=10_000_000 - 2_000_000 * len(list(folder.iterdir())))
    )
    source = replace(source, limits=FetchLimits(min_free_bytes=7_000_000))
    with pytest.raises(NoRoom, match=r"7 MB must stay free \(receiver.min_free_mb\).*set TMPDIR"):
        source.retrieve(STUDY, instances, tmp_path, lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.dcm", "1.dcm"], "whole ones, and no more"


def test_a_source_that_does_not_listen_is_unreachable(closed_port):
    for source in (
        DicomSource(Peer("PACS", "127.0.0.1", closed_port, 2, NODE)),
        WebSource(WebPeer(f"http://127.0.0.1:{closed_port}", 2)),
    ):
        with pytest.raises(Unreachable, match=str(closed_port)):
            source.studies("StudyInstanceUID", STUDY)


@pytest.mark.parametrize("by", ["dicom", "web"])
def test_an_instance_over_the_size_limit_is_not_retrieved_and_is_reported(
    by: str, orthanc: Orthanc, tmp_path: Path
) -> None:
    source = replace(
        dicom_source(orthanc) if by == "dicom" else web_source(orthanc), limits=FetchLimits(max_bytes=2_000)
    )
    instances = (dicom_source(orthanc)).instances(STUDY)
    retrieved = source.retrieve(STUDY, instances, tmp_path, lambda _: None)
    assert retrieved.arrived == 0
    assert any("max_image_mb" in fault for fault in retrieved.faults)
    assert not list(tmp_path.iterdir())


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
