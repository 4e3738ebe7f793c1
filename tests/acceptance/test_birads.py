"""A radiologist's BI-RADS category reaches a finished study by HL7, SR and CSV, and Orthanc gets the comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from assessing import ALGORITHM, LEFT, finding, item, oru, overall, report_on
from hl7.client import MLLPClient
from orthanc import Orthanc
from ports import held_port
from pydicom import Dataset, dcmread
from road import changed, texts
from running import RunningNode, eventually
from small_bundles import calibrate_flat, shipped_bundle_with

from dicom_io.device import is_ours
from dicom_io.network.peer import Peer
from dicom_io.network.scu import send_files
from models.bundles.bundle import read_bundle
from models.reference.reference_file import write_reference
from models.reference.tenths import Reference
from models.types.birads import Category
from models.types.reference import ReferenceSet
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def calibrated_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights, which propose nothing, with a calibration that implies 4A for every breast and exam."""
    folder = shipped_bundle_with(tmp_path_factory.mktemp("bundle") / "calibrated", confidence=1.0, mirrored=False)
    calibrate_flat(folder)
    return folder


@pytest.fixture(scope="module")
def reference(calibrated_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference set all of whose exams have the highest score."""
    bundle = read_bundle(calibrated_bundle)
    path = tmp_path_factory.mktemp("reference") / "ward.json"
    of = ReferenceSet("ward", 100, is_screening=False)
    write_reference(path, Reference(of, bundle.id, bundle.content, (1.0,) * 9))
    return path


@pytest.fixture(scope="module")
def hl7_port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.fixture(scope="module")
def reading_node(
    orthanc: Orthanc,
    calibrated_bundle: Path,
    reference: Path,
    hl7_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningNode]:
    """A separate node that sends its reports to Orthanc and listens for HL7."""
    node = RunningNode(
        tmp_path_factory.mktemp("birads-node"),
        f"""
[[senders]]
ae_title = "PACS"
[closing]
four_views_quiet_s = 1
quiet_s = 3
[reader]
bundle = "{calibrated_bundle}"
reference = "{reference}"
[hl7]
port = {hl7_port}
[[destinations]]
name = "orthanc"
objects = ["SR"]
ae_title = "{orthanc.ae_title}"
host = "{orthanc.host}"
port = {orthanc.dicom_port}
""",
    )
    node.start()
    yield node
    node.end()


class Exam:
    """A study sent through Orthanc and the node, and its reports in Orthanc."""

    def __init__(self, orthanc: Orthanc, node: RunningNode, files: Sequence[Path]) -> None:
        self.image = dcmread(files[0], stop_before_pixels=True)
        self._orthanc, self._node = orthanc, node

    def send(self, *files: Path) -> None:
        for sent in send_files(Peer("MAMMO_NODE", "127.0.0.1", self._node.port, 60, "PACS"), list(files)):
            assert sent.error is None

    def report(self, revision: int) -> Dataset:
        return eventually(f"the report of revision {revision} is in Orthanc", lambda: self._report(revision), 300)

    def revision(self) -> tuple[str, int]:
        studies = self._node.status()["studies"]
        assert isinstance(studies, list)
        (own,) = [entry for entry in studies if entry["study_instance_uid"] == self.image.StudyInstanceUID]
        return own["state"], own["revision"]

    def reports(self) -> list[Dataset]:
        study = self._orthanc.study_of(self.image.StudyInstanceUID)
        found = self._orthanc.instances(study, "SR") if study else []
        return sorted(filter(is_ours, found), key=lambda entry: int(entry.InstanceNumber))

    def _report(self, revision: int) -> Dataset | None:
        return next((entry for entry in self.reports() if entry.InstanceNumber == revision), None)


@pytest.fixture(scope="module")
def own_studies(mammogram_studies: list[DemoStudy], tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """The studies with new UIDs: nodes of other tests have sent reports on them to the same Orthanc."""
    folder = tmp_path_factory.mktemp("own-studies")
    copies: list[list[Path]] = []
    for study in mammogram_studies:
        copies.append([])
        for file in study.files:
            image = dcmread(file)
            own = {keyword: f"{image[keyword].value}.3" for keyword in ("StudyInstanceUID", "SeriesInstanceUID")}
            copies[-1].append(folder / f"{image.SOPInstanceUID}.3.dcm")
            changed(file, SOPInstanceUID=f"{image.SOPInstanceUID}.3", **own).save_as(copies[-1][-1])
    return copies


@pytest.fixture(scope="module")
def exam(orthanc: Orthanc, reading_node: RunningNode, own_studies: list[list[Path]]) -> Exam:
    """A study that was read and reported and has no assessment yet."""
    whole = Exam(orthanc, reading_node, own_studies[0])
    whole.send(*own_studies[0])
    assert "radiologist's BI-RADS category (by" not in texts(whole.report(1))
    return whole


def predecessor(report: Dataset) -> str:
    (series,) = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    return str(series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def test_an_assessment_by_hl7_sr_or_csv_gives_a_revision_that_compares_models_and_radiologist(
    exam: Exam, reading_node: RunningNode, hl7_port: int, tmp_path: Path
) -> None:
    image, first = exam.image, exam.report(1)
    assert "Exam: 1 of 10: tenth of reference set ward (n = 100, not screening)." in texts(first)

    with MLLPClient("127.0.0.1", hl7_port) as client:
        named = {"study": image.StudyInstanceUID, "patient": image.PatientID}
        assert b"MSA|AA|M1" in client.send_message(oru("Left breast: BI-RADS 2.", **named))
    second = exam.report(2)
    assert predecessor(second) == first.SOPInstanceUID
    assert "Left breast: the radiologist's BI-RADS category (by HL7): 2; AI alone recalls; the prob" in texts(second)

    sr = report_on(image, overall(Category.FOUR, LEFT), ContentDate="20991231")
    sr.save_as(tmp_path / "radiologist.dcm", enforce_file_format=True)
    exam.send(tmp_path / "radiologist.dcm")
    third = exam.report(3)
    assert predecessor(third) == second.SOPInstanceUID
    assert "Left breast: the radiologist's BI-RADS category (by SR): 4; agree on recall; the prob" in texts(third)

    table = tmp_path / "birads.csv"
    table.write_text(f"study_instance_uid,laterality,category\n{image.StudyInstanceUID},R,0\nbad,R,9\n")
    ran = reading_node.command("birads", "import", str(table))
    assert (ran.returncode, "line 3" in ran.stdout) == (1, True)
    fourth = exam.report(4)
    assert predecessor(fourth) == third.SOPInstanceUID
    assert "Right breast: the radiologist's BI-RADS category (by CSV): 0; agree on recall; the prob" in texts(fourth)
    assert "(by SR): 4" in texts(fourth)


ANOTHER_ORDER = "OBR|1|P9||MAMMO^Mammography|||20260301110000||||||||||||||||||F|||||||7^Rita^Radiologist"
"""What is refused about an order or study that has categories withdraws them."""


def test_assessments_of_a_machine_or_malformed_are_kept_and_not_used(
    exam: Exam, reading_node: RunningNode, hl7_port: int, tmp_path: Path
) -> None:
    before, image = exam.revision(), exam.image
    for number, own in enumerate(exam.reports()):
        own.save_as(tmp_path / f"own-{number}.dcm")
    foreign = report_on(image, finding(Category.FIVE, LEFT, item(ALGORITHM, "Another AI")))
    malformed = report_on(image, finding(Category.FIVE, LEFT), ContentSequence=None)
    for name, sr in (("foreign", foreign), ("malformed", malformed)):
        sr.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
    exam.send(*sorted(tmp_path.glob("*.dcm")))
    with MLLPClient("127.0.0.1", hl7_port) as client:
        assert b"MSA|AE|M9|its BI-RADS category is a range" in client.send_message(
            oru("BI-RADS 2-3", control_id="M9", study="2.25.1", obr=ANOTHER_ORDER)
        )
        assert b"MSA|AE" in client.send_message(b"no HL7 at all")
        assert b"MSA|AR" in client.send_message(oru("BI-RADS 5", msh="MSH|^~\\&|RIS||||||ADT^A08|M1|P|2.5"))
    listed = json.loads(reading_node.command("birads", "list", "--json").stdout)
    assert {entry["why"] for entry in listed["refused_reports"]} == {
        "Its BI-RADS category is not said to be a person's: no person observer, one beside a device, or an algorithm.",
        "A structured report without content.",
    }
    assert len(listed["refused_messages"]) == 2
    assert {entry["category"] for entry in listed["assessments"]} <= {"2", "4", "0"}
    assert exam.revision() == before
    log = reading_node.log.read_text()
    secrets = (image.StudyInstanceUID, str(image.PatientID), str(image.PatientName), "Rita")
    assert not [secret for secret in secrets if secret and secret in log]


def test_an_assessment_received_before_its_study_is_in_the_first_report(
    orthanc: Orthanc, reading_node: RunningNode, hl7_port: int, own_studies: list[list[Path]]
) -> None:
    waited_for = Exam(orthanc, reading_node, own_studies[1])
    image = waited_for.image
    with MLLPClient("127.0.0.1", hl7_port) as client:
        client.send_message(oru("BI-RADS 1", study=image.StudyInstanceUID, patient=image.PatientID, control_id="M2"))
    listed = reading_node.command("birads", "list", "--unmatched").stdout
    assert "exam 1 by HL7" in listed
    assert "no image of the study that it names has come" in listed
    waited_for.send(*own_studies[1])
    assert "(by HL7): 1; AI alone recalls; the probability" in texts(waited_for.report(1))
