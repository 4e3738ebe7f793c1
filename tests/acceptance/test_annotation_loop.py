"""The whole annotation loop: the node proposes, an expert corrects in the PACS, the node stores the correction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from annotating import disc, segmentation
from numpy.typing import NDArray
from orthanc import Orthanc
from pydicom import Dataset, dcmread
from running import RunningNode, eventually

from config.settings import load
from dicom_io.case_reader import CaseReader
from dicom_io.network.peer import Peer
from dicom_io.network.scu import send_files
from models.datasets.catalog import open_data
from models.types.reading import FindingKind
from node.annotations.archive_cases import archive_cases
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.acceptance

EXPERT = "Expert^Anna"


@dataclass(frozen=True, eq=False)
class Corrected:
    """The expert's segmentation of `image`: the first proposal cut in half, the others removed, one lesion added."""

    study: str
    image: Dataset
    proposed: int
    halved: NDArray[np.bool_]
    added: NDArray[np.bool_]


@pytest.fixture(scope="module")
def corrected(
    request: pytest.FixtureRequest,
    orthanc: Orthanc,
    node: RunningNode,
    mammogram_studies: list[DemoStudy],
    tmp_path_factory: pytest.TempPathFactory,
) -> Corrected:
    """Study → node → SEG in Orthanc → the expert's own SEG into Orthanc by C-STORE → routed to the node."""
    study = {orthanc.upload(file) for file in mammogram_studies[0].files}.pop()
    orthanc.post("/modalities/mammo-node/store", {"Resources": [study], "Synchronous": True})
    eventually("the report is in Orthanc", lambda: orthanc.instances(study, "SR"), timeout_s=600)
    proposal = eventually("a proposal is in Orthanc", lambda: orthanc.instances(study, "SEG"), timeout_s=60)[0]
    about = proposal.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
    image = next(instance for instance in orthanc.instances(study, "MG") if instance.SOPInstanceUID == about)
    shape = (image.Rows, image.Columns)
    halved = proposal.pixel_array.reshape(-1, *shape)[0].astype(bool)
    rows = np.flatnonzero(halved.any(axis=1))
    halved[: (rows[0] + rows[-1]) // 2] = False
    added = disc(shape, 30, 30, 20)
    expert = segmentation(
        {str(proposal.SegmentSequence[0].SegmentLabel): halved, "calcifications": added},
        image,
        ContentCreatorName=EXPERT,
    )
    file = tmp_path_factory.mktemp("expert") / "corrected.dcm"
    expert.save_as(file)
    (sent,) = send_files(Peer(orthanc.ae_title, orthanc.host, orthanc.dicom_port, 30, "VIEWER"), [file])
    assert sent.error is None
    if request.config.getoption("--orthanc-url") is not None:  # it has no routing to the node
        orthanc.post("/modalities/mammo-node/store", {"Resources": [study], "Synchronous": True})
    eventually("the correction is known to the node", lambda: _listed(node)["images"], timeout_s=60)
    return Corrected(study, image, len(proposal.SegmentSequence), halved, added)


def test_the_list_of_corrections_shows_who_corrected_which_image_and_what_changed(
    corrected: Corrected, node: RunningNode
) -> None:
    (image,) = _listed(node)["images"]
    assert (image["creator"], image["revision"], image["earlier"]) == (EXPERT, 1, 0)
    assert (image["laterality"], image["view"]) == (corrected.image.ImageLaterality, corrected.image.ViewPosition)
    assert image["added"] == ["calcifications"]
    assert len(image["removed"]) == corrected.proposed - 1
    assert len(image["dice"]) == 1
    assert 0.3 < image["dice"][0] < 0.9
    stats = json.loads(_command(node, "stats", "--json"))
    assert (stats["images"], stats["kept"], stats["added"]) == (1, 1, 1)
    assert stats["dice_mean"]["value"] == pytest.approx(image["dice"][0])


def test_a_correction_opens_no_revision_and_results_that_come_back_are_not_read(
    corrected: Corrected, orthanc: Orthanc, node: RunningNode
) -> None:
    orthanc.post("/modalities/mammo-node/store", {"Resources": [corrected.study], "Synchronous": True})
    assert len(_listed(node)["images"]) == 1
    assert _listed(node)["not_counted"] == []
    studies = node.status()["studies"]
    assert isinstance(studies, list)
    (study,) = [entry for entry in studies if entry["study_instance_uid"] == corrected.image.StudyInstanceUID]
    assert (study["state"], study["revision"], study["jobs"]) == ("reported", 1, [])
    assert len(orthanc.instances(corrected.study, "SR")) == 1


def test_the_archive_and_its_export_hold_the_masks_of_the_expert(
    corrected: Corrected, node: RunningNode, tmp_path: Path
) -> None:
    printed = _command(node, "export", "--out", str(tmp_path / "out"), "--json")
    assert json.loads(printed)["images"] == 1
    exported = (tmp_path / "out" / "archive.json").read_text()
    assert not [
        word for word in ("Expert", corrected.image.PatientID, corrected.image.SOPInstanceUID) if word in exported
    ]
    (copy,) = (tmp_path / "out" / "images").iterdir()
    assert dcmread(copy).SOPInstanceUID == corrected.image.SOPInstanceUID
    for cases in (
        archive_cases(load(node.config), CaseReader()).cases,
        open_data([f"archive:{tmp_path / 'out'}"], CaseReader()).cases,
    ):
        (case,) = cases
        image = case.read()
        halved, added = case.read_lesions(image)
        assert np.array_equal(halved.mask.full(image.shape), corrected.halved)
        assert np.array_equal(added.mask.full(image.shape), corrected.added)
        assert added.kind is FindingKind.CALCIFICATION
        assert case.marked_up


def test_logs_name_neither_patient_nor_expert(corrected: Corrected, node: RunningNode) -> None:
    log = node.log.read_text()
    secrets = ("Anna", str(corrected.image.PatientID), str(corrected.image.PatientName), corrected.image.SOPInstanceUID)
    assert not [secret for secret in secrets if secret and secret in log]


def _listed(node: RunningNode) -> dict[str, list[dict[str, object]]]:
    return dict(json.loads(_command(node, "list", "--json")))


def _command(node: RunningNode, *arguments: str) -> str:
    ran = node.command("annotations", *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
