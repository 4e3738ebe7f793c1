"""Orthanc sends studies to the node by itself, by the script that the README names."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from orthanc import AUTOROUTING, Orthanc, debian_orthanc
from ports import held_port
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


@contextmanager
def listening(port: int = 0, refused: Collection[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """In the node's place: its port, and the SOP Instance UIDs that it took. It has no room for the `refused` ones."""
    kept: list[str] = []
    ae = AE("MAMMO_NODE")
    for sop_class in (DigitalMammographyXRayImageStorageForPresentation, BasicTextSRStorage):
        ae.add_supported_context(sop_class)

    def store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid in refused:
            return 0xA700
        kept.append(uid)
        return 0x0000

    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.socket.getsockname()[1], kept
    finally:
        server.shutdown()


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    with listening() as listener:
        yield listener


def uploaded(orthanc: Orthanc, folder: Path, number: int, modality: str = "MG", study: str = "1.2.3") -> str:
    """Uploads an object of a study, of a series for each modality. Returns Orthanc's id of the study."""
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    mammogram = modality == "MG"
    instance.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation if mammogram else BasicTextSRStorage
    instance.SOPInstanceUID = f"{study}.{number}"
    instance.PatientID = study
    instance.StudyInstanceUID, instance.SeriesInstanceUID = study, f"{study}.{100 + mammogram}"
    instance.Modality = modality
    path = folder / f"{study}.{number}.dcm"
    instance.save_as(path, enforce_file_format=True)
    return orthanc.upload(path)


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


@contextmanager
def routing(folder: Path, port: int) -> Iterator[Orthanc]:
    """An Orthanc that sends to the node at a port of 127.0.0.1."""
    node = {"mammo-node": ["MAMMO_NODE", "127.0.0.1", port]}
    settings = {"LuaScripts": [str(AUTOROUTING)], "StableAge": 1, "DicomModalities": node, "ExecuteLuaEnabled": True}
    with debian_orthanc(folder / "orthanc", **settings) as orthanc:
        yield orthanc


def heart_beat(orthanc: Orthanc) -> bool:
    """What Orthanc 1.11.1 and later does each LuaHeartBeatPeriod; Debian's is older."""
    orthanc._call("POST", "/tools/execute-script", b"OnHeartBeat()")
    return True


def has_tried(orthanc: Orthanc, times: int = 1) -> bool:
    jobs = orthanc.get("/jobs?expand")
    assert isinstance(jobs, list)
    return sum(job["Type"] == "DicomModalityStore" and job["State"] in ("Success", "Failure") for job in jobs) >= times


def is_waiting(orthanc: Orthanc, study: str) -> bool:
    names = orthanc.get(f"/studies/{study}/metadata")
    assert isinstance(names, list)
    return "1025" in names


@pytest.mark.parametrize("occasion", ["heartbeat", "another study", "restart of Orthanc"])
def test_a_study_that_was_sent_while_the_node_was_down_comes_when_it_is_up(tmp_path: Path, occasion: str) -> None:
    with held_port() as port:
        with routing(tmp_path, port) as orthanc:
            study = uploaded(orthanc, tmp_path, 1)
            eventually("it was tried in vain", lambda: has_tried(orthanc) and is_waiting(orthanc, study))
            if occasion != "restart of Orthanc":
                with listening(port) as (_, kept):
                    if occasion == "another study":
                        uploaded(orthanc, tmp_path, 1, study="1.2.4")
                    eventually(
                        "it is sent",
                        lambda: (occasion != "heartbeat" or heart_beat(orthanc)) and "1.2.3.1" in kept,
                    )
                    eventually("it is known to be sent", lambda: not is_waiting(orthanc, study))
        if occasion == "restart of Orthanc":
            with listening(port) as (_, kept), routing(tmp_path, port) as orthanc:
                eventually("it is sent", lambda: "1.2.3.1" in kept)
                eventually("it is known to be sent", lambda: not is_waiting(orthanc, study))
    assert kept.count("1.2.3.1") == 1


def test_an_image_that_the_node_refuses_holds_back_no_other_and_comes_when_the_node_takes_it(tmp_path: Path) -> None:
    refused = {"1.2.3.1"}
    with listening(refused=refused) as (port, kept), routing(tmp_path, port) as orthanc:
        study = uploaded(orthanc, tmp_path, 1)
        uploaded(orthanc, tmp_path, 2)
        eventually("the other image is sent", lambda: "1.2.3.2" in kept)
        eventually("the jobs have ended", lambda: has_tried(orthanc, 2))
        assert is_waiting(orthanc, study)
        refused.clear()
        eventually("the refused image is sent", lambda: heart_beat(orthanc) and "1.2.3.1" in kept)
        eventually("the study is known to be sent", lambda: not is_waiting(orthanc, study))
