"""The kind of an instance, from its header."""

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import UID

from dicom_io.attributes import items, number, numbers, text, values
from dicom_io.errors import NotReadable
from dicom_io.headers import describe, kind_of
from dicom_io.instance_kinds import InstanceKind

STORAGE = "1.2.840.10008.5.1.4.1.1."


GENERATED = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]


def a_code(value: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", "x"
    return code


def a_header(**attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = STORAGE + "1.2"
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1", "2.25.2", "2.25.3"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("sop_class", "attributes", "kind"),
    [
        ("1.2", {}, InstanceKind.FOR_PRESENTATION),
        ("1.2", {"PresentationIntentType": "FOR PRESENTATION"}, InstanceKind.FOR_PRESENTATION),
        ("1.2.1", {"PresentationIntentType": "FOR PROCESSING"}, InstanceKind.FOR_PROCESSING),
        ("1.2", {"PresentationIntentType": "FOR PROCESSING"}, InstanceKind.FOR_PROCESSING),
        ("1", {"Modality": "CR", "BodyPartExamined": "BREAST"}, InstanceKind.FOR_PRESENTATION),
        ("1", {"Modality": "MG"}, InstanceKind.FOR_PRESENTATION),
        ("1", {"Modality": "CR", "BodyPartExamined": "CHEST"}, InstanceKind.OTHER_IMAGE),
        ("1.1", {"Modality": "DX", "BodyPartExamined": "CHEST"}, InstanceKind.OTHER_IMAGE),
        ("1.1", {"Modality": "DX", "BodyPartExamined": "BREAST"}, InstanceKind.FOR_PRESENTATION),
        ("1.1.1", {"Modality": "MG"}, InstanceKind.FOR_PROCESSING),
        ("1.1", {"Modality": "DX", "AnatomicRegionSequence": [a_code("76752008")]}, InstanceKind.FOR_PRESENTATION),
        ("1.1", {"Modality": "DX", "AnatomicRegionSequence": [a_code("T-04000")]}, InstanceKind.FOR_PRESENTATION),
        ("1", {"Modality": "CR", "AnatomicRegionSequence": [a_code("80248007")]}, InstanceKind.FOR_PRESENTATION),
        ("1.1", {"Modality": "DX", "AnatomicRegionSequence": [a_code("51185008")]}, InstanceKind.OTHER_IMAGE),
        ("1.2", {"QualityControlImage": "YES"}, InstanceKind.OTHER_IMAGE),
        ("1.2.1", {"QualityControlSubject": "YES"}, InstanceKind.OTHER_IMAGE),
        ("13.1.3", {"ImageType": GENERATED, "NumberOfFrames": 1}, InstanceKind.FOR_PRESENTATION),
        ("13.1.3", {"ImageType": GENERATED}, InstanceKind.FOR_PRESENTATION),
        ("13.1.3", {"ImageType": GENERATED, "NumberOfFrames": 3}, InstanceKind.TOMOSYNTHESIS),
        ("13.1.3", {"NumberOfFrames": 1}, InstanceKind.TOMOSYNTHESIS),
        ("66.4", {"QualityControlSubject": "YES", "BodyPartExamined": "BREAST"}, InstanceKind.SEGMENTATION),
        ("13.1.3", {}, InstanceKind.TOMOSYNTHESIS),
        ("7", {"Modality": "MG"}, InstanceKind.SECONDARY_CAPTURE),
        ("7.1", {"BodyPartExamined": "BREAST"}, InstanceKind.SECONDARY_CAPTURE),
        ("7.4", {"Modality": "MG"}, InstanceKind.SECONDARY_CAPTURE),
        ("7", {"Modality": "OT"}, InstanceKind.OTHER_IMAGE),
        ("2", {"Modality": "CT"}, InstanceKind.OTHER_IMAGE),
        ("6.1", {"Modality": "US", "BodyPartExamined": "BREAST"}, InstanceKind.OTHER_IMAGE),
        ("66.4", {"Rows": 10, "Columns": 10}, InstanceKind.SEGMENTATION),
        ("88.33", {"Modality": "SR"}, InstanceKind.REPORT),
        ("88.34", {}, InstanceKind.REPORT),
        ("88.50", {}, InstanceKind.REPORT),
        ("88.59", {"Modality": "KO"}, InstanceKind.OTHER),
        ("104.1", {}, InstanceKind.OTHER),
        ("11.1", {"Modality": "PR"}, InstanceKind.OTHER),
    ],
)
def test_every_kind_of_object_is_recognised(sop_class: str, attributes: dict[str, object], kind: InstanceKind) -> None:
    assert kind_of(a_header(SOPClassUID=STORAGE + sop_class, **attributes)) is kind


def test_an_unknown_sop_class_with_pixels_is_an_image_that_is_not_read() -> None:
    assert kind_of(a_header(SOPClassUID="1.3.6.1.4.1.99999.1", Rows=5, Columns=5)) is InstanceKind.OTHER_IMAGE


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", ["", "1.2.03", "../../etc/passwd", "1.2.x", "1..2", "1.2.", "7", "1." + "2" * 63])
def test_a_malformed_uid_is_refused_with_its_attribute_and_without_its_value(keyword: str, value: str) -> None:
    dataset = a_header()
    dataset[keyword]._value = UID(value, validation_mode=0)
    with pytest.raises(NotReadable, match=keyword) as refusal:
        describe(dataset)
    assert not value or value not in str(refusal.value)


def test_a_missing_uid_is_refused_with_its_attribute() -> None:
    dataset = a_header()
    del dataset.StudyInstanceUID
    with pytest.raises(NotReadable, match="no StudyInstanceUID"):
        describe(dataset)


def test_a_uid_of_64_characters_is_accepted() -> None:
    longest = "1." + "2" * 62
    assert describe(a_header(SOPInstanceUID=longest)).sop_instance_uid == longest


def test_patient_ids_that_differ_after_a_backslash_stay_different() -> None:
    first, second = (describe(a_header(PatientID=["A", last])).patient_id for last in "12")
    assert first != second


def test_the_nodes_own_results_are_recognised() -> None:
    assert not describe(a_header(Manufacturer="ACME", ManufacturerModelName="Mammo 1")).ours
    assert describe(a_header(Manufacturer="mammo-node", ManufacturerModelName="mammo-node")).ours


def test_a_malformed_number_is_treated_as_absent() -> None:
    dataset = Dataset()
    for keyword, vr in (
        ("EstimatedRadiographicMagnificationFactor", "DS"),
        ("InstanceNumber", "IS"),
        ("Rows", "US"),
        ("Columns", "??"),
    ):
        dataset[keyword] = RawDataElement(Tag(keyword), vr, 3, b"abc", 0, False, True)
    assert number(dataset, "EstimatedRadiographicMagnificationFactor") is None
    assert numbers(dataset, "Rows") == ()
    assert number(dataset, "InstanceNumber") is None
    assert values(dataset, "Columns") == ()
    assert text(dataset, "PatientID") == ""
    assert not items(dataset, "ViewCodeSequence")
