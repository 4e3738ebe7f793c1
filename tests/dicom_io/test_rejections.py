"""Rejection notes (IHE IOCM) reject only objects of the node, and give the reason."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from readings import ENCODING
from reports import L_CC, R_CC, R_MLO, evidence, some_exam, some_sources, walk
from validators import dcentvfy, dciodvfy, dsrdump, pixelmed

from dicom_io.device import is_ours
from dicom_io.errors import NotEncodable
from dicom_io.results.encode import encode_results
from dicom_io.results.encoding import to_bytes
from dicom_io.results.profiles import PROFILES, ResultKind
from dicom_io.results.rejections import Reason, encode_rejection, sides_stated, wrong_ones
from models.types.mammogram import Laterality

pytestmark = pytest.mark.slow

SECOND = replace(ENCODING, revision=2, profile=PROFILES["all"])
SIDES = {R_CC: Laterality.RIGHT, R_MLO: Laterality.RIGHT, L_CC: Laterality.LEFT}


def objects(revision: int = 1) -> list[tuple[ResultKind, Dataset]]:
    encoding = replace(SECOND, revision=revision)
    results = encode_results(some_exam(), some_sources(), encoding)
    return [(result.kind, dcmread(BytesIO(result.content), stop_before_pixels=True)) for result in results]


REPLACED = objects()
REPLACEMENT = objects(2)[-1][1]


def note(rejected: list[Dataset], reason: Reason = Reason.REPLACED) -> Dataset:
    made = encode_rejection(rejected, reason, replacement=REPLACEMENT, destination="pacs", encoding=SECOND)
    return dcmread(BytesIO(to_bytes(made)))


def title(document: Dataset) -> str:
    return str(document.ConceptNameCodeSequence[0].CodeValue)


def modifiers(document: Dataset) -> list[str]:
    return [
        str(item.ConceptCodeSequence[0].CodeValue)
        for item in document.ContentSequence
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == "113011"
    ]


def test_a_replaced_object_is_rejected_for_quality_reasons_with_the_required_modifier():
    rejected = [dataset for _, dataset in REPLACED]
    document = note(rejected)
    assert title(document) == "113001"
    assert modifiers(document) == ["111220"]
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    uids = {str(entry.SOPInstanceUID) for entry in rejected}
    assert evidence(document) == uids
    named = {str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in walk(document)
             if "ReferencedSOPSequence" in item}  # fmt: skip
    assert named == uids


def test_an_object_of_a_wrong_patient_or_side_is_rejected_for_patient_safety_reasons():
    document = note([REPLACED[0][1]], Reason.WRONG_PATIENT_OR_SIDE)
    assert (title(document), modifiers(document)) == ("113037", [])


def test_no_rejection_note_gives_a_wrong_worklist_or_data_retention_as_its_reason():
    assert {reason.value.value for reason in Reason} == {"113001", "113037"}


def test_a_rejection_note_belongs_to_the_study_and_names_only_its_present_patient():
    wrong = dcmread(BytesIO(to_bytes(REPLACED[-1][1])))
    wrong.PatientName, wrong.PatientID = "Wrong^Person", "WRONG"
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "WRONG-2", "TEXT"
    wrong.OtherPatientIDsSequence = [other]
    document = note([wrong], Reason.WRONG_PATIENT_OR_SIDE)
    assert is_ours(document)
    assert (document.Modality, document.StudyInstanceUID) == ("KO", REPLACEMENT.StudyInstanceUID)
    assert (document.PatientID, document.PatientName) == (REPLACEMENT.PatientID, REPLACEMENT.PatientName)
    assert "WRONG" not in str(document)
    assert "Wrong" not in str(document)


@pytest.mark.parametrize("rejected", ["a mammogram", "another study", "nothing"])
def test_only_the_nodes_own_objects_of_the_study_are_rejected(rejected: str):
    foreign = some_sources()[R_CC]
    elsewhere = dcmread(BytesIO(to_bytes(REPLACED[-1][1])))
    elsewhere.StudyInstanceUID = "1.2.3"
    ours = REPLACED[0][1]
    with pytest.raises(NotEncodable, match="rejection note"):
        note({"a mammogram": [ours, foreign], "another study": [ours, elsewhere], "nothing": []}[rejected])


@pytest.mark.parametrize("kind", [ResultKind.SEG, ResultKind.GSPS, ResultKind.SR, ResultKind.CAD_SR])
def test_the_breast_of_an_image_is_read_from_the_objects_about_it(kind: ResultKind):
    stated = sides_stated(next(dataset for entry, dataset in REPLACED if entry is kind))
    assert stated
    assert stated.items() <= SIDES.items()


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, False),
        ({"PatientID": "OTHER"}, True),
        ({"PatientID": ""}, True),
        ({"PatientBirthDate": "19991231"}, True),
        ({"PatientBirthDate": ""}, False),
        ({"PatientName": "Other^Person"}, True),
        ({"PatientSex": "O"}, False),
        ({"StudyDescription": "corrected"}, False),
    ],
)
def test_an_object_with_another_patient_id_birth_date_or_name_is_of_a_wrong_patient(
    changes: dict[str, str], wrong: bool
):
    stale = dcmread(BytesIO(to_bytes(REPLACED[0][1])))
    for keyword, value in changes.items():
        setattr(stale, keyword, value)
    assert wrong_ones([stale], REPLACEMENT, SIDES) == [wrong]


def test_only_objects_about_an_image_with_the_wrong_breast_are_rejected_as_wrong():
    stale = [dataset for _, dataset in REPLACED]
    assert wrong_ones(stale, REPLACEMENT, SIDES) == [False] * len(stale)
    wrong = wrong_ones(stale, REPLACEMENT, {**SIDES, L_CC: Laterality.RIGHT})
    assert list(zip((kind for kind, _ in REPLACED), wrong, strict=True)) == [
        (ResultKind.SEG, False), (ResultKind.GSPS, False), (ResultKind.SEG, True), (ResultKind.GSPS, True),
        (ResultKind.CAD_SR, True), (ResultKind.SC, True), (ResultKind.KO, True), (ResultKind.SR, True),
    ]  # fmt: skip


@pytest.mark.parametrize("reason", Reason)
def test_the_validators_find_no_errors(reason: Reason, tmp_path: Path):
    paths = [tmp_path / "note.dcm", tmp_path / "replacement.dcm"]
    paths[0].write_bytes(to_bytes(note([dataset for _, dataset in REPLACED], reason)))
    paths[1].write_bytes(to_bytes(REPLACEMENT))
    assert (dciodvfy(paths[0]), dsrdump(paths[0]), dcentvfy(paths)) == ([], [], [])
    assert pixelmed(paths[0]) == []


def test_an_object_that_was_rejected_is_written_again_under_another_uid():
    first = {encoded.sop_instance_uid for encoded in encode_results(some_exam(), some_sources(), SECOND)}
    again = {
        encoded.sop_instance_uid for encoded in encode_results(some_exam(), some_sources(), SECOND, rejected=first)
    }
    third = encode_results(some_exam(), some_sources(), SECOND, rejected=first | again)
    report = str(objects(2)[-1][1].SOPInstanceUID)  # written again in every revision anyway
    assert first & again == {report}
    assert {entry.sop_instance_uid for entry in third} & (first | again) == {report}
