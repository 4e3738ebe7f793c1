"""A destination gets objects in the transfer syntax that it prefers, with the same meaning, or as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt
from readings import ENCODING
from reports import some_exam, some_sources

from config.peers import DicomDestination
from config.settings import Settings
from dicom_io.errors import NotAccepted
from dicom_io.network.peer import Peer
from dicom_io.network.scu import CStoreDestination
from dicom_io.results.encode import encode_results
from dicom_io.results.outputs import OUTPUTS, contents_of, preferred_syntaxes
from dicom_io.results.profiles import PROFILES, ResultKind
from node.delivery.destinations import transport
from node.operations.check import syntaxes_are_accepted

CODECS = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
ALL = PROFILES["all"]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, ResultKind]:
    folder = tmp_path_factory.mktemp("objects")
    written = {}
    for number, result in enumerate(encode_results(some_exam(), some_sources(), replace(ENCODING, profile=ALL))):
        path = folder / f"{number}.dcm"
        path.write_bytes(result.content)
        written[path] = result.kind
    return written


@dataclass
class Archive:
    """Accepts these transfer syntaxes, and keeps what it gets as a file would have it."""

    syntaxes: Sequence[UID]
    port: int = 0
    kept: dict[str, Dataset] = field(default_factory=dict)

    def peer(self) -> Peer:
        return Peer("ARCHIVE", "127.0.0.1", self.port, 60, "NODE")

    def store(self, event: evt.Event) -> int:
        file = BytesIO()
        file.write(event.encoded_dataset())
        file.seek(0)
        dataset = dcmread(file)
        self.kept[dataset.SOPInstanceUID] = dataset
        return 0x0000


@contextmanager
def listening(*syntaxes: UID) -> Iterator[Archive]:
    archive, ae = Archive(syntaxes), AE("ARCHIVE")
    for output in OUTPUTS.values():
        ae.add_supported_context(output.sop_class_uid, list(syntaxes))
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, archive.store)])
    assert server is not None
    archive.port = server.server_address[1]
    try:
        yield archive
    finally:
        server.shutdown()


def send(archive: Archive, paths: Sequence[Path], *preferred: UID, peer: Peer | None = None) -> None:
    wanted = preferred_syntaxes(ALL, preferred)
    with CStoreDestination(peer or archive.peer(), contents_of(ALL), wanted) as destination:
        for path in paths:
            destination.send(path)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.keyword)
def test_the_summary_page_is_compressed_and_its_pixels_and_attributes_are_the_same(
    objects: dict[Path, ResultKind], codec: UID
):
    (path,) = (path for path, kind in objects.items() if kind is ResultKind.SC)
    with listening(ExplicitVRLittleEndian, codec) as archive:
        send(archive, [path], codec)
    written = dcmread(path)
    (arrived,) = archive.kept.values()
    assert arrived.file_meta.TransferSyntaxUID == codec
    np.testing.assert_array_equal(arrived.pixel_array, written.pixel_array)
    left_out = ("PixelData", "PlanarConfiguration")
    assert {element.tag: element for element in arrived if element.keyword not in left_out} == {
        element.tag: element for element in written if element.keyword not in left_out
    }
    assert len(arrived.PixelData) < len(written.PixelData) / 2


def test_every_object_can_be_deflated_and_means_the_same(objects: dict[Path, ResultKind]):
    with listening(ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian) as archive:
        send(archive, list(objects), DeflatedExplicitVRLittleEndian)
    assert {arrived.file_meta.TransferSyntaxUID for arrived in archive.kept.values()} == {
        DeflatedExplicitVRLittleEndian
    }
    for path in objects:
        written = dcmread(path)
        assert archive.kept[written.SOPInstanceUID] == written


def test_each_object_gets_the_first_that_suits_it_and_the_peer_accepts(objects: dict[Path, ResultKind]):
    with listening(ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian) as archive:
        send(archive, list(objects), JPEGLSLossless, RLELossless, DeflatedExplicitVRLittleEndian)
    syntaxes = {arrived.SOPClassUID: arrived.file_meta.TransferSyntaxUID for arrived in archive.kept.values()}
    assert syntaxes.pop(SecondaryCaptureImageStorage) == RLELossless
    assert syntaxes[SegmentationStorage] == DeflatedExplicitVRLittleEndian, "its pixels are single bits"
    assert set(syntaxes.values()) == {DeflatedExplicitVRLittleEndian}


@pytest.mark.parametrize("plain", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=lambda uid: uid.keyword)
def test_a_peer_that_accepts_no_preferred_one_gets_the_objects_all_the_same(
    objects: dict[Path, ResultKind], plain: UID
):
    with listening(plain) as archive:
        send(archive, list(objects), *CODECS, DeflatedExplicitVRLittleEndian)
    assert len(archive.kept) == len(objects)
    assert {arrived.file_meta.TransferSyntaxUID for arrived in archive.kept.values()} == {plain}


def test_nothing_is_compressed_for_a_peer_that_prefers_nothing(objects: dict[Path, ResultKind]):
    with listening(*CODECS) as archive, pytest.raises(NotAccepted):
        send(archive, list(objects))
    assert archive.kept == {}


@pytest.mark.parametrize(
    ("accepted", "says", "warns"),
    [
        ([ExplicitVRLittleEndian], "takes none of transfer_syntaxes: objects are sent uncompressed", True),
        ([ExplicitVRLittleEndian, JPEGLSLossless], "takes JPEG-LS Lossless Image Compression", False),
    ],
)
def test_check_says_which_of_them_a_destination_takes(tmp_path: Path, accepted: list[UID], says: str, warns: bool):
    with listening(*accepted) as archive:
        to = DicomDestination(
            name="a", ae_title="ARCHIVE", host="127.0.0.1", port=archive.port, profile="all",
            transfer_syntaxes=("JPEGLSLossless", "RLELossless"),
        )  # fmt: skip
        result = syntaxes_are_accepted(to, Settings(data_dir=tmp_path, destinations=(to,)))
    assert (result.ok, result.warns) == (True, warns)
    assert result.says.endswith(says)
    assert not syntaxes_are_accepted(to, Settings(data_dir=tmp_path)).ok, "nobody listens any more"


def test_a_paced_destination_gets_the_same_bytes_and_no_more_than_the_limit(objects: dict[Path, ResultKind]):
    waited: list[float] = []
    (path,) = (path for path, kind in objects.items() if kind is ResultKind.SC)
    with listening(ExplicitVRLittleEndian) as archive:
        to = DicomDestination(
            name="a", ae_title="ARCHIVE", host="127.0.0.1", port=archive.port, profile="all", max_mbit_s=8
        )
        with closing(transport(to, "NODE", lambda: sum(waited), waited.append)) as destination:
            destination.send(path)
    (arrived,) = archive.kept.values()
    assert arrived.PixelData == dcmread(path).PixelData
    assert sum(waited) == pytest.approx(path.stat().st_size / 1e6, rel=0.02)
