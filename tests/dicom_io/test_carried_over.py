"""The attributes copied from the image into every object about it: a single table for every kind of object."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from highdicom._standard_utils import get_module_attribute_map
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGBaseline8Bit
from reports import R_CC, R_MLO, evidence, named, some_exam, some_sources
from stating_sources import EVERYTHING, OF_AN_IMAGE, REQUEST, STATED, coded, item, stating_sources
from validators import dcentvfy, dciodvfy, dsrdump, pixelmed

from dicom_io.results.carried_over import CLINICAL_TRIAL, PATIENT, STUDY, TRIAL_SUBJECT
from dicom_io.results.encode import encode_results
from dicom_io.results.profiles import IN_PROFILES, ResultKind
from dicom_io.results.view_modifiers import view_modifiers

pytestmark = pytest.mark.slow
DOCUMENTS = (ResultKind.SR, ResultKind.CAD_SR, ResultKind.KO)
IMAGES = (ResultKind.SEG, ResultKind.GSPS, ResultKind.SC)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[ResultKind, Path]]:
    folder = tmp_path_factory.mktemp("carried")
    paths = []
    for number, encoded in enumerate(encode_results(some_exam(), stating_sources(), EVERYTHING)):
        path = folder / f"{number}-{encoded.kind}.dcm"
        path.write_bytes(encoded.content)
        paths.append((encoded.kind, path))
    return paths


def of_right_cc(written: list[tuple[ResultKind, Path]], kind: ResultKind) -> Dataset:
    """The first object of a kind; of kinds per image, the object of the right CC view."""
    return dcmread(next(path for entry, path in written if entry is kind))


@pytest.mark.parametrize("kind", IN_PROFILES)
def test_every_object_keeps_the_patient_study_trial_and_time_attributes_of_its_image(
    kind: ResultKind, written: list[tuple[ResultKind, Path]]
) -> None:
    dataset = of_right_cc(written, kind)
    for keyword, value in {**STATED, **OF_AN_IMAGE[kind]}.items():
        assert keyword in dataset, keyword
        assert dataset[keyword].value == value, keyword


@pytest.mark.parametrize("kind", IN_PROFILES)
def test_every_object_names_the_order_as_its_module_requires(
    kind: ResultKind, written: list[tuple[ResultKind, Path]]
) -> None:
    dataset = of_right_cc(written, kind)
    if kind in IMAGES:
        assert dataset.RequestAttributesSequence == [REQUEST]
        assert "ReferencedRequestSequence" not in dataset
        return
    (request,) = dataset.ReferencedRequestSequence
    for keyword in (
        "AccessionNumber", "StudyInstanceUID", "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest", "RequestedProcedureID", "RequestedProcedureDescription",
        "RequestedProcedureCodeSequence",
    ):  # fmt: skip
        assert request[keyword].value == REQUEST[keyword].value, keyword
    assert request.ReferencedStudySequence == []
    assert "ScheduledProcedureStepID" not in request


def test_the_validators_find_no_errors_in_objects_that_carry_all_of_it(
    written: list[tuple[ResultKind, Path]],
) -> None:
    paths = [path for _, path in written]
    assert {path.name: dciodvfy(path) for path in paths} == {path.name: [] for path in paths}
    assert dcentvfy(paths) == []
    documents = [path for kind, path in written if kind in DOCUMENTS]
    assert [dsrdump(path) for path in documents] == [[], [], []]
    assert pixelmed(*documents) == []


def test_each_segment_names_the_breast_that_it_lies_in(written: list[tuple[ResultKind, Path]]) -> None:
    sides = []
    for kind, path in written:
        if kind is ResultKind.SEG:
            for segment in dcmread(path).SegmentSequence:
                (region,) = segment.AnatomicRegionSequence
                sides.append((region.CodeValue, region.AnatomicRegionModifierSequence[0].CodeValue))
    assert sides == [("76752008", "24028007")] * 2 + [("76752008", "7771000")]


@pytest.mark.parametrize("kind", [ResultKind.SR, ResultKind.CAD_SR])
def test_the_image_libraries_name_the_modifiers_of_a_view_under_it(
    kind: ResultKind, written: list[tuple[ResultKind, Path]]
) -> None:
    views = named(of_right_cc(written, kind), "111031")
    assert len(views) == 3
    for view in views:
        (modifier,) = view.ContentSequence
        assert (modifier.RelationshipType, modifier.ConceptNameCodeSequence[0].CodeValue) == (
            "HAS CONCEPT MOD",
            "111032",
        )
        assert modifier.ConceptCodeSequence[0].CodeValue == "399209000"


def test_the_report_refers_to_the_segmentations_of_its_findings(written: list[tuple[ResultKind, Path]]) -> None:
    report = of_right_cc(written, ResultKind.SR)
    segs = {str(dcmread(path).SOPInstanceUID) for kind, path in written if kind is ResultKind.SEG}
    assert segs <= evidence(report)
    (summary,) = named(report, "111017")
    referred = {str(entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for entry in summary.ContentSequence}
    assert referred == segs


def test_every_attribute_of_a_clinical_trial_is_copied() -> None:
    modules = get_module_attribute_map()
    defined = {
        attribute["keyword"]
        for module in ("clinical-trial-subject", "clinical-trial-study", "clinical-trial-series")
        for attribute in modules[module]
        if not attribute["path"]
    }
    assert {*CLINICAL_TRIAL, *TRIAL_SUBJECT} == defined


def test_attributes_that_an_image_lacks_are_not_invented() -> None:
    for encoded in encode_results(some_exam(), some_sources(), EVERYTHING):
        dataset = dcmread(BytesIO(encoded.content))
        beyond = {*PATIENT, *CLINICAL_TRIAL, *TRIAL_SUBJECT, *STUDY} - set(some_sources()[R_CC].dir())
        assert [keyword for keyword in beyond if keyword in dataset] == []
        for keyword in ("TimezoneOffsetFromUTC", "RequestAttributesSequence", "ReferencedRequestSequence"):
            assert keyword not in dataset
        assert dataset.get("LossyImageCompression", "00") == "00"


def test_an_image_in_a_lossy_transfer_syntax_is_lossy_even_if_its_header_denies_it() -> None:
    sources = some_sources()
    for uid in (R_CC, R_MLO):
        sources[uid].file_meta = item(TransferSyntaxUID=JPEGBaseline8Bit)
    seg, *_, page = (
        dcmread(BytesIO(encoded.content))
        for encoded in encode_results(some_exam(), sources, EVERYTHING)
        if encoded.kind in (ResultKind.SEG, ResultKind.SC)
    )
    for made in (seg, page):
        assert (made.LossyImageCompression, made.LossyImageCompressionMethod) == ("01", "ISO_10918_1")


@pytest.mark.parametrize("beside", [True, False], ids=["beside the view", "below it"])
def test_view_modifiers_are_found_below_the_view_code_and_beside_it(beside: bool) -> None:
    source = some_sources()[R_CC]
    source.ViewCodeSequence = [coded("399162004", "SCT", "cranio-caudal")]
    holder = source if beside else source.ViewCodeSequence[0]
    holder.ViewModifierCodeSequence = [
        coded("R-102D6", "SRT", "Magnification"),
        coded("399055006", "SCT", "Spot"),
        coded("X1", "99VENDOR", "of their own"),
        coded("", "SCT", "no code"),
    ]
    assert [(view_modifier.scheme_designator, view_modifier.value) for view_modifier in view_modifiers(source)] == [
        ("SCT", "399163009"),
        ("SCT", "399055006"),
        ("99VENDOR", "X1"),
    ]
