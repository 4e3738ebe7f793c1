"""Orthanc routes a study to the node and receives SEG and SR of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from orthanc import Orthanc
from pydicom import Dataset, dcmread
from running import RunningNode, eventually
from sqlalchemy import select
from transfer_syntaxes import LOSSLESS, encode
from validators import dciodvfy, dsrdump, pixelmed

from dicom_io.network.peer import Peer
from dicom_io.network.scu import send_files
from dicom_io.uids import derive_uid
from node.demo.studies import DemoStudy
from node.store.states import StudyState
from node.store.tables import Instance, Study

pytestmark = pytest.mark.acceptance

TEXT_OF_USE = "Research use only"


@pytest.fixture(scope="module")
def reported(orthanc: Orthanc, node: RunningNode, mammogram_study: DemoStudy) -> str:
    """The study's Orthanc id, after Orthanc has sent it to the node and received all results."""
    study = {orthanc.upload(file) for file in mammogram_study.files}.pop()
    sent = orthanc.post("/modalities/mammo-node/store", {"Resources": [study], "Synchronous": True})
    assert isinstance(sent, dict)
    assert sent["FailedInstancesCount"] == 0
    assert sent["InstancesCount"] == 4
    eventually("the report is in Orthanc", lambda: orthanc.instances(study, "SR"), timeout_s=300)
    return study


def test_orthanc_and_the_node_answer_each_others_c_echo(orthanc: Orthanc, node: RunningNode) -> None:
    assert orthanc.post("/modalities/mammo-node/echo", {}) == {}
    check = node.command("check")
    assert check.returncode == 0, check.stdout + check.stderr
    assert "orthanc" in check.stdout


def test_the_study_in_orthanc_holds_a_seg_for_each_image_with_findings_and_one_report(
    orthanc: Orthanc, reported: str, mammogram_study: DemoStudy
) -> None:
    images = {image.SOPInstanceUID: image for image in orthanc.instances(reported, "MG")}
    segs, (report,) = orthanc.instances(reported, "SEG"), orthanc.instances(reported, "SR")
    assert segs
    assert len({seg.SeriesInstanceUID for seg in segs}) == len(segs)
    tracked = set()
    for seg in segs:
        source = images[seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID]
        assert (seg.Rows, seg.Columns) == (source.Rows, source.Columns)
        assert seg.PatientID == source.PatientID
        assert seg.StudyInstanceUID == mammogram_study.study_instance_uid
        frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
        assert len(frames) == len(seg.SegmentSequence)
        assert all(np.count_nonzero(frame) for frame in frames)
        tracked |= {segment.TrackingUID for segment in seg.SegmentSequence}
    assert report.StudyInstanceUID == mammogram_study.study_instance_uid
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"
    items = list(_items(report))
    assert tracked <= {item.UID for item in items if item.ValueType == "UIDREF" and _name(item) == "112040"}
    assert any(TEXT_OF_USE in item.TextValue for item in items if item.ValueType == "TEXT")
    scores = [item.MeasuredValueSequence[0].NumericValue for item in items if _name(item) == "SCORE"]
    assert len(scores) >= len(tracked) + 2
    assert all(0 <= score <= 1 for score in scores)


def test_every_result_passes_dciodvfy_pixelmed_and_dsrdump(orthanc: Orthanc, reported: str, tmp_path: Path) -> None:
    for modality in ("SEG", "SR"):
        for number, result in enumerate(orthanc.instances(reported, modality)):
            path = tmp_path / f"{modality}-{number}.dcm"
            result.save_as(path)
            assert dciodvfy(path) == []
            if modality == "SR":
                assert pixelmed(path) == []
                assert dsrdump(path) == []


def test_results_that_orthanc_routes_back_are_not_read(orthanc: Orthanc, node: RunningNode, reported: str) -> None:
    before = _rows(node)
    sent = orthanc.post("/modalities/mammo-node/store", {"Resources": [reported], "Synchronous": True})
    assert isinstance(sent, dict)
    assert sent["FailedInstancesCount"] == 0
    assert _rows(node) == before


def test_a_study_has_the_same_findings_in_every_lossless_transfer_syntax(
    orthanc: Orthanc, node: RunningNode, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    """Orthanc sends them, except HTJ2K, which Debian's Orthanc does not support."""
    source = dcmread(mammogram_study.files[1])
    variants = {}
    for syntax in LOSSLESS:
        study, file = _variant(source, syntax, tmp_path)
        variants[syntax] = study
        if "HTJ2K" in syntax.name or "High-Throughput" in syntax.name:
            (sent,) = send_files(Peer("MAMMO_NODE", "127.0.0.1", node.port, 30, "TEST"), [file])
            assert sent.error is None
        else:
            orthanc.post("/modalities/mammo-node/store", {"Resources": [orthanc.upload(file)], "Synchronous": True})
    readings = {syntax.name: _reading(node, study) for syntax, study in variants.items()}
    first = next(iter(readings.values()))
    assert first["findings"]
    assert all(reading == first for reading in readings.values()), readings


def _variant(source: Dataset, syntax: str, folder: Path) -> tuple[str, Path]:
    variant = encode(source, syntax)
    variant.StudyInstanceUID = derive_uid(source.StudyInstanceUID, syntax)
    variant.SeriesInstanceUID = derive_uid(source.SeriesInstanceUID, syntax)
    variant.SOPInstanceUID = variant.file_meta.MediaStorageSOPInstanceUID = derive_uid(source.SOPInstanceUID, syntax)
    path = folder / f"{syntax}.dcm"
    variant.save_as(path, enforce_file_format=True)
    return str(variant.StudyInstanceUID), path


def _reading(node: RunningNode, study_instance_uid: str) -> dict[str, object]:
    """The findings in a study of one image, without run times."""

    def look() -> dict[str, object] | None:
        with node.database() as session:
            query = select(Instance).join(Instance.study).where(Study.study_instance_uid == study_instance_uid)
            instance = session.scalars(query).one_or_none()
            if instance is None or instance.reading is None:
                return None
            return {key: value for key, value in instance.reading.items() if key != "seconds"}

    return eventually("the image is read", look, timeout_s=300)


def _rows(node: RunningNode) -> list[tuple[int, str, int, int]]:
    """Each study's id, state, revision and number of instances."""
    with node.database() as session:
        studies = session.scalars(select(Study).where(Study.state == StudyState.REPORTED).order_by(Study.id)).all()
        return [(study.id, study.state, study.revision, len(study.instances)) for study in studies]


def _items(dataset: Dataset) -> list[Dataset]:
    below = [item for child in dataset.get("ContentSequence", []) for item in _items(child)]
    return [*below, dataset] if "ValueType" in dataset else below


def _name(item: Dataset) -> str | None:
    names = item.get("ConceptNameCodeSequence")
    return names[0].CodeValue if names else None
