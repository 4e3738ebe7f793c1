"""Orthanc sends studies to the node by itself, by the script that the README names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from orthanc import AUTOROUTING, Orthanc, debian_orthanc
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)
from pynetdicom import AE, evt
from running import eventually

pytestmark = pytest.mark.acceptance


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """In the node's place: its port, and the SOP Instance UIDs that were sent to it."""
    kept: list[str] = []
    ae = AE("MAMMO_NODE")
    for sop_class in (DigitalMammographyXRayImageStorageForPresentation, BasicTextSRStorage):
        ae.add_supported_context(sop_class)

    def store(event: evt.Event) -> int:
        kept.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    yield server.socket.getsockname()[1], kept
    server.shutdown()


def uploaded(orthanc: Orthanc, folder: Path, number: int, modality: str = "MG") -> None:
    """Uploads an object of the one study, of a series for each modality."""
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    mammogram = modality == "MG"
    instance.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation if mammogram else BasicTextSRStorage
    instance.SOPInstanceUID = f"1.2.3.{number}"
    instance.PatientID = "one"
    instance.StudyInstanceUID, instance.SeriesInstanceUID = "1.2.3", f"1.2.3.{100 + mammogram}"
    instance.Modality = modality
    path = folder / f"{number}.dcm"
    instance.save_as(path, enforce_file_format=True)
    orthanc.upload(path)


def stable(orthanc: Orthanc) -> int:
    """How often a study has become stable."""
    changes = orthanc.get("/changes?limit=1000")
    assert isinstance(changes, dict)
    return sum(change["ChangeType"] == "StableStudy" for change in changes["Changes"])


def test_a_stable_study_is_sent_once_and_again_only_with_more_mammograms(
    tmp_path: Path, listener: tuple[int, list[str]]
) -> None:
    port, kept = listener
    with debian_orthanc(tmp_path / "orthanc", LuaScripts=[str(AUTOROUTING)], StableAge=1) as orthanc:
        orthanc.knows_modality("mammo-node", "MAMMO_NODE", "127.0.0.1", port)
        uploaded(orthanc, tmp_path, 1)
        uploaded(orthanc, tmp_path, 2)
        eventually("both mammograms are sent", lambda: sorted(kept) == ["1.2.3.1", "1.2.3.2"])
        uploaded(orthanc, tmp_path, 3, "SR")
        eventually("the study is stable again", lambda: stable(orthanc) == 2)
        uploaded(orthanc, tmp_path, 4)
        eventually("the third mammogram is sent", lambda: "1.2.3.4" in kept)
        eventually("all three were sent again", lambda: len(kept) == 5)
    assert sorted(kept[:2]) == ["1.2.3.1", "1.2.3.2"], "not again with the report, which never was sent"
    assert sorted(kept[2:]) == ["1.2.3.1", "1.2.3.2", "1.2.3.4"]
