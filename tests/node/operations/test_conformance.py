"""The conformance statement agrees with the code."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made from tables at run time
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from readings import ENCODING
from reports import calibrated, some_exam, some_sources

from config.peers import DicomDestination, Sender
from config.settings import Settings
from dicom_io.network.answers import Status
from dicom_io.network.commitment import ReportStatus
from dicom_io.network.scp_contexts import STORAGE_CLASSES, STORAGE_COMMITMENT, supported_contexts
from dicom_io.results.encode import encode_results
from dicom_io.results.outputs import OUTPUTS
from dicom_io.results.profiles import PROFILES, ResultKind
from dicom_io.results.rejections import Reason, encode_rejection
from node.operations.conformance import REPORT_STATUSES, STATUSES, conformance_statement, written_codes

STATEMENT = Path(__file__).parents[3] / "docs" / "conformance.md"
QUERY_RETRIEVE = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
# An attribute that shows the presence of a module (PS3.3).
SIGNS = {
    "Patient": "PatientID",
    "General Study": "StudyInstanceUID",
    "General Series": "SeriesInstanceUID",
    "Segmentation Series": "Modality",
    "Frame of Reference (nominal geometry only)": "FrameOfReferenceUID",
    "General Equipment": "Manufacturer",
    "Enhanced General Equipment": "DeviceSerialNumber",
    "General Image": "InstanceNumber",
    "General Reference": "SourceImageSequence",
    "Image Pixel": "Rows",
    "Segmentation Image": "SegmentSequence",
    "Multi-frame Functional Groups": "SharedFunctionalGroupsSequence",
    "Multi-frame Dimension": "DimensionOrganizationSequence",
    "Common Instance Reference": "ReferencedSeriesSequence",
    "SOP Common": "SOPInstanceUID",
    "SR Document Series": "ReferencedPerformedProcedureStepSequence",
    "SR Document General": "VerificationFlag",
    "SR Document Content": "ContentSequence",
    "Presentation Series": "Modality",
    "Presentation State Identification": "PresentationCreationDate",
    "Presentation State Relationship": "ReferencedSeriesSequence",
    "Displayed Area": "DisplayedAreaSelectionSequence",
    "Graphic Annotation": "GraphicAnnotationSequence",
    "Graphic Layer": "GraphicLayerSequence",
    "Modality LUT (as the image)": None,
    "Softcopy VOI LUT (as the image)": None,
    "Softcopy Presentation LUT": "PresentationLUTShape",
    "SC Equipment": "ConversionType",
    "SC Image": None,
    "Key Object Document Series": "ReferencedPerformedProcedureStepSequence",
    "Key Object Document": "CurrentRequestedProcedureEvidenceSequence",
}


@pytest.fixture(scope="module")
def objects() -> dict[ResultKind, Dataset]:
    encoding = type(ENCODING)(**{**vars(ENCODING), "profile": PROFILES["all"]})
    results = encode_results(calibrated(some_exam()), some_sources(), encoding)
    written = {result.kind: dcmread(BytesIO(result.content)) for result in results}
    replaced, by = [written[ResultKind.SEG]], written[ResultKind.SR]
    note = encode_rejection(replaced, Reason.REPLACED, replacement=by, destination="pacs", encoding=encoding)
    return {**written, ResultKind.REJECTION: note}


def test_the_conformance_statement_in_the_docs_equals_the_output_of_the_command():
    written = conformance_statement(Settings(data_dir=Path("data")), "the default settings")
    assert STATEMENT.read_text(encoding="utf-8") == written, "mammo-node conformance > docs/conformance.md"


def test_the_statement_names_every_sop_class_that_is_received_or_sent(objects: dict[ResultKind, Dataset]):
    statement = STATEMENT.read_text(encoding="utf-8")
    for sop_class_uid in (*STORAGE_CLASSES, *(entry.SOPClassUID for entry in objects.values())):
        assert f"| {UID(sop_class_uid).name} | {sop_class_uid} |" in statement


def test_the_statement_names_every_sop_class_of_the_listener_with_its_role():
    statement = STATEMENT.read_text(encoding="utf-8")
    for context in supported_contexts(reports=True):
        role = "SCU" if context.abstract_syntax == STORAGE_COMMITMENT else "SCP"
        assert f"| {UID(context.abstract_syntax).name} | {context.abstract_syntax} | {role} |" in statement
        assert all(syntax.name in statement for syntax in context.transfer_syntax)


@pytest.mark.parametrize("sop_class", [Verification, StorageCommitmentPushModel, *QUERY_RETRIEVE])
def test_the_statement_names_every_transfer_syntax_that_is_proposed(sop_class: UID):
    proposed = ", ".join(syntax.name for syntax in build_context(sop_class).transfer_syntax)
    assert f"| {sop_class} | {proposed} |" in STATEMENT.read_text(encoding="utf-8")


def test_the_statement_explains_every_status_that_a_peer_can_get():
    assert set(STATUSES) == set(Status)
    assert set(REPORT_STATUSES) == set(ReportStatus)


def test_every_object_has_the_modules_that_the_statement_lists(objects: dict[ResultKind, Dataset]):
    assert set(objects) == set(OUTPUTS)
    missing = [
        (kind, module)
        for kind, output in OUTPUTS.items()
        for module in output.modules
        if SIGNS[module] not in (None, *objects[kind].dir())
    ]
    assert missing == []


def test_every_private_code_that_is_written_is_in_the_statement(objects: dict[ResultKind, Dataset]):
    documented = {(code.scheme_designator, code.value) for code in written_codes()}
    ours = {code for entry in objects.values() for code in _codes(entry) if code[0].startswith("99")}
    assert ours
    assert ours <= documented


def test_the_statement_shows_the_peers_and_values_of_the_settings():
    settings = Settings(
        data_dir=Path("data"),
        senders=(Sender(ae_title="BUS"),),
        destinations=(
            DicomDestination(
                name="pacs", ae_title="ARCHIVE", host="192.0.2.10", port=4242, commitment=True, retry_first_s=7
            ),
        ),
    )
    statement = conformance_statement(settings, "its settings")
    assert "| ARCHIVE (destination pacs) | 192.0.2.10 | 4242 |" in statement
    assert "Storage commitment (N-ACTION) | Storage Commitment Push Model SOP Class | pacs |" in statement
    assert "| pacs | 7 | 3600 |" in statement


def test_the_statement_shows_the_dicomweb_service_of_a_node_that_has_one():
    settings = Settings(data_dir=Path("data"), web={"port": 8080, "stow": True})
    statement = conformance_statement(settings, "its settings")
    assert "origin server at http://127.0.0.1:8080/dicom-web" in statement
    assert "STOW-RS of the SOP classes and transfer syntaxes that it receives" in statement
    assert "origin server" not in conformance_statement(Settings(data_dir=Path("data")), "its settings")


def test_the_statement_shows_which_peers_may_associate_and_for_what():
    pacs = DicomDestination(name="pacs", ae_title="ARCHIVE", host="192.0.2.10", port=4242, commitment=True)
    settings = Settings(data_dir=Path("data"), senders=(Sender(ae_title="BUS"),), destinations=(pacs,))
    statement = conformance_statement(settings, "its settings")
    assert f"| {settings.receiver.ae_title} | 127.0.0.1 | verify, store |" in statement, (
        "`pull` and `check` come from here"
    )
    assert "| BUS | any host | verify, store |" in statement
    assert "| ARCHIVE | 192.0.2.10 | verify, report on storage commitment |" in statement


def _codes(dataset: Dataset) -> Iterator[tuple[str, str]]:
    if "CodeValue" in dataset:
        yield dataset.CodingSchemeDesignator, dataset.CodeValue
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _codes(item)


def test_the_statement_names_the_receiver_of_the_audit_trail():
    settings = Settings(data_dir=Path("data"), audit={"syslog_host": "audit.example", "syslog_transport": "udp"})
    assert "to audit.example:514 by UDP (settings" in conformance_statement(settings, "its settings")
