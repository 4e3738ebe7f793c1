"""Damaged objects are not delivered: every kind of damage on a real set of objects."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from readings import ENCODING, header, lesion, read_image
from reports import L_CC, R_CC, SHAPE, TOMO, calibrated, named, some_exam, some_sources

from dicom_io.errors import NotEncodable
from dicom_io.results.checks import check_together
from dicom_io.results.encode import ResultObject, encode_results
from dicom_io.results.profiles import IN_PROFILES, PROFILES, ResultKind

pytestmark = pytest.mark.slow

Objects = list[tuple[ResultKind, Dataset]]
SEG, SR, CAD_SR, GSPS, KO = ResultKind.SEG, ResultKind.SR, ResultKind.CAD_SR, ResultKind.GSPS, ResultKind.KO
ALL = replace(ENCODING, profile=PROFILES["all"])
EXAM, SOURCES = calibrated(some_exam()), some_sources()


@pytest.fixture(scope="module")
def written() -> list[ResultObject]:
    return encode_results(EXAM, SOURCES, ALL)


@pytest.fixture
def objects(written: list[ResultObject]) -> Objects:
    """A set of objects for a test to damage."""
    return _read(written)


def _read(written: list[ResultObject]) -> Objects:
    return [(entry.kind, dcmread(BytesIO(entry.content), stop_before_pixels=True)) for entry in written]


def _second_revision(first: Dataset) -> Objects:
    return _read(encode_results(EXAM, SOURCES, replace(ALL, revision=2), {SR: first}))


def _first(objects: Objects, kind: ResultKind) -> Dataset:
    return next(dataset for entry, dataset in objects if entry is kind)


def _check(objects: Objects, sources: dict[str, Dataset] | None = None, predecessor: Dataset | None = None) -> None:
    check_together(objects, EXAM, sources or SOURCES, predecessor)


def assert_may_leave(objects: Objects, predecessor: Dataset | None = None) -> None:
    _check(objects, predecessor=predecessor)


def test_results_as_written_by_the_node_are_delivered(objects: Objects):
    assert {kind for kind, _ in objects} == set(IN_PROFILES)
    assert_may_leave(objects)


def test_a_second_revision_that_names_its_predecessor_is_delivered(objects: Objects):
    first = _first(objects, SR)
    assert_may_leave(_second_revision(first), predecessor=first)


@pytest.mark.parametrize("kind", IN_PROFILES)
@pytest.mark.parametrize(
    ("keyword", "another"),
    [
        ("StudyInstanceUID", "1.2.3"),
        ("PatientID", "P-2"),
        ("PatientID", ""),
        ("IssuerOfPatientID", "ELSEWHERE"),
        ("PatientBirthDate", "19700101"),
        ("PatientName", "Other^Person"),
    ],
)
def test_an_object_of_another_study_or_patient_is_not_delivered(
    objects: Objects, kind: ResultKind, keyword: str, another: str
):
    setattr(_first(objects, kind), keyword, another)
    with pytest.raises(NotEncodable, match=f"The {kind} has another {keyword}"):
        _check(objects)


def test_sources_of_two_patients_give_no_results(objects: Objects):
    stranger = header(TOMO, SHAPE)
    stranger.PatientID = "P-2"
    with pytest.raises(NotEncodable, match="disagree in their PatientID"):
        _check(objects, {**SOURCES, TOMO: stranger})


def test_sources_of_two_studies_give_no_results(objects: Objects):
    stranger = header(TOMO, SHAPE)
    stranger.StudyInstanceUID = "1.2.3"
    with pytest.raises(NotEncodable, match="disagree in their StudyInstanceUID"):
        _check(objects, {**SOURCES, TOMO: stranger})


@pytest.mark.parametrize("taken", ["a source's", "another object's", "the predecessor's", "none"])
def test_an_object_with_a_uid_already_in_use_is_not_delivered(objects: Objects, taken: str):
    predecessor = header("1.2.3.4", SHAPE)
    seg, other = (dataset for kind, dataset in objects if kind is SEG)
    other.SOPInstanceUID = {
        "a source's": R_CC,
        "another object's": seg.SOPInstanceUID,
        "the predecessor's": "1.2.3.4",
        "none": "",
    }[taken]
    with pytest.raises(NotEncodable, match="The SEG bears the UID of another object"):
        _check(objects, predecessor=predecessor)


def _refer(item: Dataset, uid: str) -> None:
    item.ReferencedSOPInstanceUID = uid


_STRANGERS: dict[ResultKind, Callable[[Dataset], Dataset]] = {
    SEG: lambda seg: seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0],
    SR: lambda report: named(report, "111030")[0].ContentSequence[0].ReferencedSOPSequence[0],
    CAD_SR: lambda report: next(item for item in named(report, "111028")[0].ContentSequence).ReferencedSOPSequence[0],
    GSPS: lambda state: state.GraphicAnnotationSequence[0].ReferencedImageSequence[0],
    KO: lambda keys: next(item for item in keys.ContentSequence if item.ValueType == "IMAGE").ReferencedSOPSequence[0],
}


@pytest.mark.parametrize("kind", _STRANGERS)
def test_an_object_with_a_reference_to_an_unknown_instance_is_not_delivered(objects: Objects, kind: ResultKind):
    _STRANGERS[kind](_first(objects, kind)).ReferencedSOPInstanceUID = "1.2.3.4"
    with pytest.raises(NotEncodable, match=f"The {kind} refers to an object that is neither a source nor sent"):
        _check(objects)


def test_an_object_with_a_reference_to_a_seg_of_another_destination_is_not_delivered(objects: Objects):
    without = [(kind, dataset) for kind, dataset in objects if kind is not SEG]
    with pytest.raises(NotEncodable, match="The SR refers to an object that is neither a source nor sent"):
        _check(without)


def test_the_predecessors_of_a_predecessor_are_not_checked(objects: Objects):
    first = _first(objects, SR)
    second = _second_revision(first)
    gone = _first(second, SR).PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    gone.append(deepcopy(gone[0]))
    gone[1].ReferencedSOPInstanceUID = "1.2.3.4"
    assert_may_leave(second, predecessor=first)


def test_an_object_with_a_reference_of_a_wrong_sop_class_is_not_delivered(objects: Objects):
    _STRANGERS[SEG](_first(objects, SEG)).ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    with pytest.raises(NotEncodable, match="under another SOP class"):
        _check(objects)


@pytest.mark.parametrize("kind", [SR, CAD_SR, KO])
def test_a_document_that_does_not_list_its_evidence_is_not_delivered(objects: Objects, kind: ResultKind):
    document = _first(objects, kind)
    for series in document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence:
        series.ReferencedSOPSequence = [
            item for item in series.ReferencedSOPSequence if item.ReferencedSOPInstanceUID != R_CC
        ]
    with pytest.raises(NotEncodable, match=f"The {kind} refers to an object that it does not list as evidence"):
        _check(objects)


_POINTS: dict[ResultKind, Callable[[Dataset], Dataset]] = {
    SR: lambda report: named(report, "111030")[0],
    CAD_SR: lambda report: named(report, "111041")[0],
    GSPS: lambda state: state.GraphicAnnotationSequence[0].GraphicObjectSequence[0],
}


@pytest.mark.parametrize("kind", _POINTS)
@pytest.mark.parametrize(("place", "value"), [(0, -0.5), (0, SHAPE[1] + 0.5), (1, SHAPE[0] + 0.5)])
def test_an_object_with_a_point_outside_its_image_is_not_delivered(
    objects: Objects, kind: ResultKind, place: int, value: float
):
    drawn = _POINTS[kind](_first(objects, kind))
    points = list(drawn.GraphicData)
    points[place] = value
    drawn.GraphicData = points
    with pytest.raises(NotEncodable, match=f"The {kind} points outside its image"):
        _check(objects)


@pytest.mark.parametrize("kind", _POINTS)
def test_an_object_with_swapped_rows_and_columns_is_not_delivered(objects: Objects, kind: ResultKind):
    for drawn in _outlines(_first(objects, kind), kind):
        points = list(drawn.GraphicData)
        drawn.GraphicData = [points[index ^ 1] for index in range(len(points))]
    with pytest.raises(NotEncodable, match=f"The {kind} (draws a lesion where it is not|points outside its image)"):
        _check(objects)


@pytest.mark.parametrize("kind", _POINTS)
@pytest.mark.parametrize("damage", ["mirrored in its box", "shifted by 5 pixels"])
def test_an_object_with_a_mirrored_or_slightly_shifted_lesion_is_not_delivered(
    objects: Objects, kind: ResultKind, damage: str
):
    for drawn in _outlines(_first(objects, kind), kind):
        points = np.reshape(drawn.GraphicData, (-1, 2)).astype(float)
        if damage.startswith("mirrored"):
            points[:, 0] = points[:, 0].min() + points[:, 0].max() - points[:, 0]
        else:
            points += 5
        drawn.GraphicData = points.ravel().tolist()
    with pytest.raises(NotEncodable, match=f"The {kind} draws a lesion where it is not"):
        _check(objects)


def test_an_object_with_a_lesion_in_the_wrong_breast_is_not_delivered(objects: Objects):
    site = next(site for site in named(_first(objects, SR), "363698007") if "ContentSequence" in site)
    code = site.ContentSequence[0].ConceptCodeSequence[0]
    code.CodeValue = {"7771000": "24028007", "24028007": "7771000"}[code.CodeValue]
    with pytest.raises(NotEncodable, match="another breast"):
        _check(objects)


@pytest.mark.parametrize("crop", ["specks", "crescent", "pixel", "line"])
def test_a_lesion_of_any_shape_is_delivered(crop: str):
    rows, columns = np.mgrid[:40, :50]
    pixels = {
        "specks": (rows % 13 < 2) & (columns % 17 < 2),
        "crescent": (np.hypot(rows - 20, columns - 25) < 19) & (np.hypot(rows - 20, columns - 34) > 16),
        "pixel": np.ones((1, 1), dtype=np.bool_),
        "line": np.ones((1, 30), dtype=np.bool_),
    }[crop]
    exam = some_exam([read_image(R_CC, SHAPE, lesion(30, 20, pixels))])
    assert encode_results(exam, SOURCES, ALL)


def _outlines(dataset: Dataset, kind: ResultKind) -> list[Dataset]:
    if kind is GSPS:
        return [
            drawn for layer in dataset.GraphicAnnotationSequence for drawn in layer.get("GraphicObjectSequence", [])
        ]
    return [item for code in ("111030", "111041") for item in named(dataset, code)]


def test_an_object_with_a_lesion_in_the_wrong_image_is_not_delivered(objects: Objects):
    reference = named(_first(objects, SR), "111030")[0].ContentSequence[0].ReferencedSOPSequence[0]
    reference.ReferencedSOPInstanceUID = L_CC
    with pytest.raises(NotEncodable, match="The SR draws a lesion where it is not"):
        _check(objects)


def test_an_object_with_an_outline_in_an_unread_image_is_not_delivered(objects: Objects):
    report = _first(objects, SR)
    reference = named(report, "111030")[0].ContentSequence[0].ReferencedSOPSequence[0]
    reference.ReferencedSOPInstanceUID = TOMO
    reference.ReferencedSOPClassUID = SOURCES[TOMO].SOPClassUID
    with pytest.raises(NotEncodable, match="points into an image that was not read"):
        _check(objects)


def test_an_object_with_an_outline_without_an_image_is_not_delivered(objects: Objects):
    del named(_first(objects, SR), "111030")[0].ContentSequence
    with pytest.raises(NotEncodable, match="points into an image that was not read"):
        _check(objects)


def test_an_object_with_an_invalid_content_item_reference_is_not_delivered(objects: Objects):
    outline = named(_first(objects, CAD_SR), "111041")[0]
    outline.ContentSequence[0].ReferencedContentItemIdentifier = [1, 99, 1]
    with pytest.raises(NotEncodable, match="points into an image that was not read"):
        _check(objects)


@pytest.mark.parametrize("damage", ["renamed", "twice", "missing"])
@pytest.mark.parametrize("kind", [SEG, SR])
def test_a_seg_and_sr_with_different_lesions_are_not_delivered(objects: Objects, kind: ResultKind, damage: str):
    dataset = _first(objects, kind)
    if kind is SEG:
        held, name = dataset.SegmentSequence, "TrackingUID"
        tracking = held[0]
    else:
        held, name = named(dataset, "126010")[0].ContentSequence, "UID"
        tracking = named(held[0], "112040")[0]
    if damage == "renamed":
        setattr(tracking, name, "1.2.3.4")
    elif damage == "twice":
        held.append(deepcopy(held[0]))
    else:
        del held[0]
    with pytest.raises(NotEncodable, match=f"The lesions that the {kind} tracks are not those of the reading"):
        _check(objects)


@pytest.mark.parametrize("kind", IN_PROFILES)
def test_an_object_that_is_not_recognised_as_the_nodes_own_is_not_delivered(objects: Objects, kind: ResultKind):
    dataset = _first(objects, kind)
    dataset.Manufacturer = "A maker of viewers"
    dataset.pop("ContributingEquipmentSequence")
    with pytest.raises(NotEncodable, match=f"The {kind} is not marked as ours"):
        _check(objects)


def test_a_report_that_claims_to_be_verified_is_not_delivered(objects: Objects):
    _first(objects, SR).VerificationFlag = "VERIFIED"
    with pytest.raises(NotEncodable, match="The SR claims that a person verified it"):
        _check(objects)
