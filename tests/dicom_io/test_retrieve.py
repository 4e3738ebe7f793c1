"""Studies retrieved from a real Orthanc by C-GET, C-MOVE and DICOMweb."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from orthanc import Orthanc, debian_orthanc
from pydicom import dcmread
from retrieving import MG, NODE, STUDY, SYNTAXES, an_image

from dicom_io.errors import NoRoom, Rejected
from dicom_io.network.answers import Answer, Status
from dicom_io.network.holdings import FetchLimits, HeldInstance, Retrieved, Source
from dicom_io.network.peer import Peer
from dicom_io.network.retrieve import DicomSource
from dicom_io.network.scp import AllowedSender, Listener, ReceivedFile
from dicom_io.network.wado import WebSource
from dicom_io.network.web_peer import WebPeer
from dicom_io.uids import derive_uid

pytestmark = pytest.mark.slow


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

    def refusal(self, calling_ae_title: str) -> Answer | None:
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
