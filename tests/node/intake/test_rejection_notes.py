"""Rejection notes of the PACS (IHE RAD IOCM): the images that they name count no more, and the report says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage
from road import Road, changed, texts
from sqlalchemy import select

from dicom_io.device import MANUFACTURER, MODEL
from dicom_io.network.answers import Status
from dicom_io.rejection_reasons import RejectionReason
from node.demo.studies import DemoStudy
from node.operations.status import with_rows
from node.store.states import JobState, StudyState
from node.store.tables import AuditEvent, Study
from node.store.unread import Unread

pytestmark = pytest.mark.slow

EXCLUDING = [reason for reason in RejectionReason if reason.excludes]


def coded(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def note_about(
    images: Sequence[Dataset],
    reason: RejectionReason = RejectionReason.WRONG_WORKLIST_ENTRY,
    uid: str = "1.2.40",
    *,
    has_content: bool = True,
) -> Dataset:
    """A rejection note as a PACS writes it: the study's Key Object Selection document."""
    note = Dataset()
    note.file_meta = FileMetaDataset()
    note.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    note.SOPClassUID = note.file_meta.MediaStorageSOPClassUID = KeyObjectSelectionDocumentStorage
    note.SOPInstanceUID = note.file_meta.MediaStorageSOPInstanceUID = uid
    first = images[0]
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate"):
        setattr(note, keyword, first.get(keyword, ""))
    note.SeriesInstanceUID, note.Modality, note.Manufacturer = "1.2.41", "KO", "A maker of archives"
    note.ValueType, note.ConceptNameCodeSequence = "CONTAINER", [coded(reason, reason.meaning)]
    references = []
    for image in images:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        references.append(reference)
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = first.SeriesInstanceUID, references
    study.StudyInstanceUID, study.ReferencedSeriesSequence = first.StudyInstanceUID, [series]
    note.CurrentRequestedProcedureEvidenceSequence = [study]
    note.ContentSequence = []
    for reference in references if has_content else ():
        item = Dataset()
        item.RelationshipType, item.ValueType, item.ReferencedSOPSequence = "CONTAINS", "IMAGE", [reference]
        note.ContentSequence.append(item)
    return note


@pytest.fixture
def images(mammogram_study: DemoStudy) -> list[Dataset]:
    return [changed(file) for file in mammogram_study.files]


def states_of(road: Road) -> list[tuple[Unread | None, bool]]:
    """Of each image why it is not read, and whether there is a reading of it."""
    return [(image.unread, image.reading is not None) for image in road.instances() if image.kind.is_image]


@pytest.mark.parametrize("reason", EXCLUDING)
@pytest.mark.parametrize("order", ["before the image", "with the images", "after the reading", "after the report"])
def test_a_rejected_image_counts_no_more_and_the_report_says_why(
    tmp_path: Path, images: list[Dataset], reason: RejectionReason, order: str
) -> None:
    road = Road(tmp_path)
    note = note_about(images[1:2], reason)
    match order:
        case "before the image":
            road.all_of_it(note, *images)
        case "with the images":
            road.all_of_it(*images, note)
        case "after the reading":
            road.receive(*images)
            road.read()
            road.all_of_it(note)
        case _:
            road.all_of_it(*images)
            road.all_of_it(note)
    assert states_of(road) == [(Unread.REJECTED if place == 1 else None, place != 1) for place in range(4)]
    assert road.study().state is StudyState.REPORTED
    assert road.study().revision == (2 if order == "after the report" else 1)
    last = road.results("SR")[-1]
    assert f"{reason.meaning} ({reason}, DCM)" in texts(last)
    assert "Missing view" in texts(last)
    assert len(road.results("SEG", road.study().revision)) == 3


def test_a_reading_that_is_under_way_is_not_stored_after_the_rejection(tmp_path: Path, images: list[Dataset]) -> None:
    road = Road(tmp_path)
    road.receive(images[0])
    begun = road.reader._begin()
    road.receive(note_about(images[:1]))
    road.reader._read(begun)
    assert states_of(road) == [(Unread.REJECTED, False)]
    assert [job.state for job in road.jobs()] == [JobState.CANCELLED]


def test_a_study_of_which_every_image_is_rejected_before_its_report_is_not_read(
    tmp_path: Path, images: list[Dataset]
) -> None:
    road = Road(tmp_path)
    road.all_of_it(*images, note_about(images))
    assert road.study().state is StudyState.NOT_READ
    assert "Incorrect Modality Worklist Entry" in road.study().why
    assert not road.results()


def test_a_reported_study_of_which_every_image_is_rejected_is_reported_again_without_findings(
    tmp_path: Path, images: list[Dataset]
) -> None:
    road = Road(tmp_path)
    road.all_of_it(*images)
    road.all_of_it(note_about(images))
    assert (road.study().state, road.study().revision) == (StudyState.REPORTED, 2)
    assert not road.results("SEG", 2)
    (report,) = road.results("SR", 2)
    assert "Incorrect Modality Worklist Entry" in texts(report)
    assert "no findings" not in texts(report).lower()
    assert road.study().score is None


def test_a_rejected_image_that_comes_again_stays_rejected(tmp_path: Path, images: list[Dataset]) -> None:
    road = Road(tmp_path)
    road.all_of_it(*images, note_about(images[:1]))
    road.all_of_it(changed(tmp_path / road.instances()[0].path, ImagerPixelSpacing=[0.05, 0.05]))
    assert states_of(road)[0] == (Unread.REJECTED, False)


def test_an_expired_retention_policy_says_nothing_of_the_images(tmp_path: Path, images: list[Dataset]) -> None:
    road = Road(tmp_path)
    note = note_about(images, RejectionReason.RETENTION_EXPIRED)
    road.all_of_it(*images, note)
    assert states_of(road) == [(None, True)] * 4
    assert (road.study().state, road.study().revision) == (StudyState.REPORTED, 1)
    assert "whose results stay" in road.instances()[-1].unread_reason
    road.all_of_it(note_about(images[:1], RejectionReason.PATIENT_SAFETY, "1.2.42"))
    assert states_of(road)[0] == (Unread.REJECTED, False)


def test_status_and_the_audit_trail_say_what_was_rejected(tmp_path: Path, images: list[Dataset]) -> None:
    road = Road(tmp_path)
    road.receive(*images, note_about(images[:1]))
    with road.sessions.begin() as session:
        (shown,) = with_rows(session, session.scalars(select(Study)).all())
        said = [event.message["why"] for event in session.scalars(select(AuditEvent))]
    reasons = [image.reason for image in shown.images if image.reason]
    assert reasons == [
        "rejected where it came from: Incorrect Modality Worklist Entry (113038, DCM)",
        "a rejection note: Incorrect Modality Worklist Entry (113038, DCM): 1 instance",
    ]
    assert reasons[1] in said


def test_a_note_without_content_rejects_what_its_evidence_names(tmp_path: Path, images: list[Dataset]) -> None:
    road = Road(tmp_path)
    road.receive(*images[:2], note_about(images[:1], has_content=False))
    assert states_of(road) == [(Unread.REJECTED, False), (None, False)]


def test_a_note_that_names_nothing_is_refused(tmp_path: Path, images: list[Dataset]) -> None:
    road = Road(tmp_path)
    note = note_about(images[:1], has_content=False)
    del note.CurrentRequestedProcedureEvidenceSequence
    (answer,) = road.receive(note)
    assert answer.status == Status.NOT_DICOM
    assert "names no instance" in answer.comment


def test_our_own_rejection_note_is_no_input(tmp_path: Path, images: list[Dataset]) -> None:
    road = Road(tmp_path)
    ours = note_about(images[:1])
    ours.Manufacturer, ours.ManufacturerModelName = MANUFACTURER, MODEL
    road.receive(images[0], ours)
    assert states_of(road) == [(None, False)]


def test_key_objects_that_are_no_rejection_reject_nothing(tmp_path: Path, images: list[Dataset]) -> None:
    road = Road(tmp_path)
    note = note_about(images[:1])
    note.ConceptNameCodeSequence = [coded("113000", Code("113000", "DCM", "Of Interest").meaning)]
    road.receive(images[0], note)
    assert states_of(road) == [(None, False)]
