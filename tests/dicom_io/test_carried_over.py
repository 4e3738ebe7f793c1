"""What must be copied from the image into every object about it: one table, for every kind of object that we write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from highdicom._standard_utils import get_module_attribute_map
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGBaseline8Bit
from readings import ENCODING
from reports import R_CC, R_MLO, evidence, named, some_exam, some_sources, with_spacing
from validators import dcentvfy, dciodvfy, dsrdump, pixelmed

from dicom_io.results.carried_over import CLINICAL_TRIAL, PATIENT, STUDY, TRIAL_SUBJECT
from dicom_io.results.encode import encode_results
from dicom_io.results.profiles import IN_PROFILES, PROFILES, ResultKind
from dicom_io.results.sources import demographics
from dicom_io.results.view_modifiers import view_modifiers

pytestmark = pytest.mark.slow

EVERYTHING = replace(ENCODING, profile=PROFILES["all"])
DOCUMENTS = (ResultKind.SR, ResultKind.CAD_SR, ResultKind.KO)
IMAGES = (ResultKind.SEG, ResultKind.GSPS, ResultKind.SC)


def item(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


REQUEST = item(
    AccessionNumber="A-1",
    StudyInstanceUID="1.2.3.4",
    PlacerOrderNumberImagingServiceRequest="P-77",
    FillerOrderNumberImagingServiceRequest="F-78",
    RequestedProcedureID="RP-1",
    RequestedProcedureDescription="Screening",
    RequestedProcedureCodeSequence=[coded("24623-4", "LN", "MG Breast Screening")],
    ScheduledProcedureStepID="SPS-1",
)
STATED: Mapping[str, object] = {
    # Patient
    "PatientName": "Müller^Änne", "PatientID": "P-1", "IssuerOfPatientID": "HOSPITAL", "TypeOfPatientID": "TEXT",
    "PatientBirthDate": "19600102", "PatientBirthTime": "0312", "PatientSex": "F", "OtherPatientNames": "Muller^Anne",
    "OtherPatientIDsSequence": [item(PatientID="OLD-1", IssuerOfPatientID="CLINIC", TypeOfPatientID="TEXT")],
    "PatientIdentityRemoved": "NO",
    # Clinical Trial Subject, Study and Series
    "ClinicalTrialSponsorName": "Sponsor", "ClinicalTrialProtocolID": "PROT-1", "ClinicalTrialProtocolName": "Trial",
    "ClinicalTrialSiteID": "S-1", "ClinicalTrialSiteName": "Site", "ClinicalTrialSubjectID": "SUBJ-1",
    "ClinicalTrialProtocolEthicsCommitteeName": "Committee",
    "ClinicalTrialProtocolEthicsCommitteeApprovalNumber": "EC-9", "ClinicalTrialTimePointID": "T1",
    "ClinicalTrialTimePointDescription": "Baseline", "ClinicalTrialCoordinatingCenterName": "Center",
    "ClinicalTrialSeriesID": "CTS-1", "ClinicalTrialSeriesDescription": "Series of the trial",
    # General Study and Patient Study
    "StudyDate": "20260301", "StudyTime": "101112", "StudyID": "7", "AccessionNumber": "A-1",
    "IssuerOfAccessionNumberSequence": [item(LocalNamespaceEntityID="RIS")],
    "ReferringPhysicianName": "Rüf^Rita", "StudyDescription": "Mammography, both sides",
    "ProcedureCodeSequence": [coded("24623-4", "LN", "MG Breast Screening")],
    "PatientAge": "066Y", "AdmissionID": "ADM-1",
    # SOP Common
    "TimezoneOffsetFromUTC": "-0800", "SpecificCharacterSet": "ISO_IR 100",
}  # fmt: skip
"""What stands in every object, of whatever kind."""
OF_AN_IMAGE: Mapping[ResultKind, Mapping[str, object]] = {
    ResultKind.SEG: {
        "ImageLaterality": "R", "PatientOrientation": ["P", "L"], "LossyImageCompression": "01",
        "LossyImageCompressionRatio": 10.5, "LossyImageCompressionMethod": "ISO_10918_1",
    },
    ResultKind.GSPS: {"Laterality": "R"},
    ResultKind.SC: {
        "LossyImageCompression": "01", "LossyImageCompressionRatio": 10.5, "LossyImageCompressionMethod": "ISO_10918_1",
    },
    ResultKind.SR: {}, ResultKind.CAD_SR: {}, ResultKind.KO: {},
}  # fmt: skip
"""What stands beside that in objects of a kind."""


def stating_sources() -> dict[str, Dataset]:
    """The sources of the example exam; its images state all that can be copied."""
    sources = some_sources()
    for source in sources.values():
        if "Rows" not in source:
            continue
        for keyword, value in STATED.items():
            setattr(source, keyword, value)
        source.RequestAttributesSequence = [REQUEST]
        source.LossyImageCompression = "01"
        source.LossyImageCompressionRatio, source.LossyImageCompressionMethod = 10.5, "ISO_10918_1"
        source.ViewCodeSequence = [coded("R-10242", "SNM3", "cranio-caudal")]
        source.ViewCodeSequence[0].ViewModifierCodeSequence = [coded("R-102D5", "SNM3", "Implant Displaced")]
    return sources


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
    """The first object of a kind: of objects for an image that is the right cranio-caudal one's."""
    return dcmread(next(path for entry, path in written if entry is kind))


@pytest.mark.parametrize("kind", IN_PROFILES)
def test_every_object_keeps_what_its_image_says_of_patient_study_trial_and_time(
    kind: ResultKind, written: list[tuple[ResultKind, Path]]
) -> None:
    told = of_right_cc(written, kind)
    for keyword, value in {**STATED, **OF_AN_IMAGE[kind]}.items():
        assert keyword in told, keyword
        assert told[keyword].value == value, keyword


@pytest.mark.parametrize("kind", IN_PROFILES)
def test_every_object_names_the_order_in_the_way_of_its_module(
    kind: ResultKind, written: list[tuple[ResultKind, Path]]
) -> None:
    told = of_right_cc(written, kind)
    if kind in IMAGES:
        assert told.RequestAttributesSequence == [REQUEST]
        assert "ReferencedRequestSequence" not in told
        return
    (request,) = told.ReferencedRequestSequence
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


def test_each_segment_says_in_which_breast_it_lies(written: list[tuple[ResultKind, Path]]) -> None:
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


def test_the_report_refers_to_the_segmentations_that_it_stands_on(written: list[tuple[ResultKind, Path]]) -> None:
    report = of_right_cc(written, ResultKind.SR)
    segs = {str(dcmread(path).SOPInstanceUID) for kind, path in written if kind is ResultKind.SEG}
    assert segs <= evidence(report)
    (summary,) = named(report, "111017")
    referred = {str(entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for entry in summary.ContentSequence}
    assert referred == segs


def test_no_attribute_of_a_clinical_trial_is_forgotten() -> None:
    modules = get_module_attribute_map()
    defined = {
        attribute["keyword"]
        for module in ("clinical-trial-subject", "clinical-trial-study", "clinical-trial-series")
        for attribute in modules[module]
        if not attribute["path"]
    }
    assert {*CLINICAL_TRIAL, *TRIAL_SUBJECT} == defined


def test_what_an_image_states_wrongly_or_privately_is_left_out() -> None:
    source = some_sources()[R_CC]
    source.PatientBirthTime = "noon"
    other = item(PatientID="OLD-1", TypeOfPatientID="TEXT")
    other.add_new(0x00091001, "LO", "private")
    source.OtherPatientIDsSequence = [other, Dataset()]
    taken = demographics(source)
    assert "PatientBirthTime" not in taken
    assert taken.OtherPatientIDsSequence == [item(PatientID="OLD-1", TypeOfPatientID="TEXT")]


REMOVED, SAID = {"PatientIdentityRemoved": "YES"}, coded("113100", "DCM", "Basic Application Confidentiality Profile")


@pytest.mark.parametrize(
    ("stated", "left_out"),
    [
        (REMOVED, ["PatientIdentityRemoved"]),
        ({**REMOVED, "DeidentificationMethod": ""}, ["PatientIdentityRemoved", "DeidentificationMethod"]),
        ({**REMOVED, "DeidentificationMethodCodeSequence": [Dataset()]},
         ["PatientIdentityRemoved", "DeidentificationMethodCodeSequence"]),
        ({**REMOVED, "DeidentificationMethodCodeSequence": [item(CodeValue="113100", CodingSchemeDesignator="DCM")]},
         ["PatientIdentityRemoved", "DeidentificationMethodCodeSequence"]),
        ({**REMOVED, "DeidentificationMethod": "By hand"}, []),
        ({**REMOVED, "DeidentificationMethodCodeSequence": [SAID]}, []),
        ({"PatientIdentityRemoved": "NO"}, []),
        ({"PatientIdentityRemoved": "PARTLY"}, ["PatientIdentityRemoved"]),
        ({"OtherPatientIDsSequence": [item(TypeOfPatientID="TEXT")]}, ["OtherPatientIDsSequence"]),
        ({"IssuerOfAccessionNumberSequence": [item(UniversalEntityID="1.2.3")]}, ["IssuerOfAccessionNumberSequence"]),
        ({"IssuerOfAccessionNumberSequence": [item(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO")]}, []),
        ({"ProcedureCodeSequence": [item(CodeMeaning="Mammography")]}, ["ProcedureCodeSequence"]),
        ({"LongitudinalTemporalOffsetFromEvent": 3.0}, ["LongitudinalTemporalOffsetFromEvent"]),
    ],
)  # fmt: skip
def test_what_may_not_stand_alone_is_carried_over_with_its_company_or_not_at_all(
    stated: Mapping[str, object], left_out: list[str]
) -> None:
    taken = demographics(item(**stated))
    assert [keyword for keyword in stated if keyword not in taken] == left_out


def test_a_source_that_names_no_method_of_deidentification_makes_no_object_invalid(tmp_path: Path) -> None:
    sources = some_sources()
    for source in sources.values():
        source.update(item(**REMOVED, OtherPatientIDsSequence=[item(TypeOfPatientID="TEXT")]))
    wrong = {}
    for encoded in encode_results(some_exam(), sources, EVERYTHING):
        path = tmp_path / f"{encoded.sop_instance_uid}.dcm"
        path.write_bytes(encoded.content)
        wrong[encoded.kind] = dciodvfy(path)
    assert wrong == {kind: [] for kind in IN_PROFILES}


def too_long(sequence: str) -> list[Dataset]:
    """Items of which none fits, but for the last, whose meaning alone is too long."""
    return [
        coded("V" * 17, "99X", "of their own"),
        coded("V", "S" * 17, "of their own"),
        coded("V\n1", "99X", "of their own"),
        coded("V2", "99X", f"{sequence}\x07 " + "m" * 80),
    ]


CODES = (
    "ProcedureCodeSequence", "ViewCodeSequence", "ViewModifierCodeSequence", "AnatomicRegionSequence",
    "DeidentificationMethodCodeSequence", "RequestedProcedureCodeSequence",
    "ReasonForRequestedProcedureCodeSequence", "PatientSpeciesCodeSequence", "PerformedProtocolCodeSequence",
)  # fmt: skip
WORDS = {
    "StudyDescription": "LO", "ClinicalTrialTimePointDescription": "ST", "ClinicalTrialSeriesDescription": "LO",
    "DeidentificationMethod": "LO", "ClinicalTrialSponsorName": "LO", "IssuerOfPatientID": "LO", "AdmissionID": "LO",
    "OtherPatientIDs": "LO", "RescaleType": "LO", "ServiceEpisodeID": "LO", "TimezoneOffsetFromUTC": "SH",
    "PatientAge": "AS", "LossyImageCompressionMethod": "CS", "PatientOrientation": "CS", "BurnedInAnnotation": "CS",
    "BodyPartExamined": "CS", "ContentDate": "DA", "ContentTime": "TM", "StudyDate": "DA", "StudyTime": "TM",
    "PatientBirthDate": "DA", "PatientSex": "CS", "ImageType": "CS",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*(value length|Invalid value).*:UserWarning")
def test_a_source_whose_codes_and_texts_do_not_fit_gets_all_its_objects_and_none_is_invalid(tmp_path: Path) -> None:
    sources = some_sources()
    for source in sources.values():
        for sequence in CODES:
            setattr(source, sequence, too_long(sequence))
        view = coded("399162004", "SCT", "cranio-caudal")
        view.ViewModifierCodeSequence = too_long("modifiers")
        source.ViewCodeSequence = [view]
        source.RequestAttributesSequence = [
            item(RequestedProcedureID="R" * 17, RequestedProcedureDescription="d" * 99,
                 ScheduledProcedureStepID="S" * 17, RequestedProcedureCodeSequence=too_long("asked"),
                 ScheduledProtocolCodeSequence=too_long("planned"))
        ]  # fmt: skip
        source.IssuerOfAccessionNumberSequence = [item(UniversalEntityID="1.2", UniversalEntityIDType="T" * 17)]
        for keyword, vr in WORDS.items():
            source.add_new(keyword, vr, ["w" * 70] * 2 if keyword == "PatientOrientation" else "w" * 70 + "\x07")
        source.LossyImageCompression, source.LossyImageCompressionRatio = "01", 10.5
        source.RescaleSlope, source.RescaleIntercept = 2, 0
    wrong = {}
    for encoded in encode_results(some_exam(), sources, EVERYTHING):
        path = tmp_path / f"{encoded.sop_instance_uid}.dcm"
        path.write_bytes(encoded.content)
        wrong[encoded.kind] = dciodvfy(path)
    assert wrong == {kind: [] for kind in IN_PROFILES}
    taken = demographics(sources[R_CC])
    assert [entry.CodeMeaning for entry in taken.ProcedureCodeSequence] == [("ProcedureCodeSequence " + "m" * 80)[:64]]
    assert taken.StudyDescription == "w" * 64
    assert [view_modifier.value for view_modifier in view_modifiers(sources[R_CC])] == ["V2"]


def test_nothing_is_invented_where_an_image_says_nothing() -> None:
    for encoded in encode_results(some_exam(), some_sources(), EVERYTHING):
        told = dcmread(BytesIO(encoded.content))
        beyond = {*PATIENT, *CLINICAL_TRIAL, *TRIAL_SUBJECT, *STUDY} - set(some_sources()[R_CC].dir())
        assert [keyword for keyword in beyond if keyword in told] == []
        for keyword in ("TimezoneOffsetFromUTC", "RequestAttributesSequence", "ReferencedRequestSequence"):
            assert keyword not in told
        assert told.get("LossyImageCompression", "00") == "00"


def test_an_image_in_a_transfer_syntax_that_loses_is_lossy_whatever_its_header_says() -> None:
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
def test_modifiers_are_found_below_the_view_and_beside_it_in_todays_codes(beside: bool) -> None:
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


def decimals(dataset: Dataset) -> list[str]:
    found = []
    for element in dataset:
        if element.VR == "SQ":
            found += [decimal for within in element.value for decimal in decimals(within)]
        elif element.VR == "DS" and element.value is not None:
            values = element.value if element.VM > 1 else [element.value]
            found += [str(value) for value in values]
    return found


@settings(max_examples=6)
@given(
    st.floats(0.011, 0.49, exclude_min=True),
    st.floats(-1e9, 1e9, allow_subnormal=False),
    st.floats(1e-7, 1e7, allow_subnormal=False),
)
def test_no_decimal_string_is_longer_than_sixteen_characters(spacing: float, centre: float, slope: float) -> None:
    sources = some_sources()
    for source in sources.values():
        if "Rows" in source:
            source.ImagerPixelSpacing = [f"{spacing:.14f}", f"{spacing / 3 + 0.01:.13f}"]
            source.WindowCenter, source.WindowWidth = f"{centre:.9e}", f"{slope + 1:.9e}"
            source.RescaleSlope, source.RescaleIntercept = f"{slope:.9e}", f"{centre:.9e}"
    exam = with_spacing(some_exam(), (spacing, spacing / 3 + 0.01))
    for encoded in encode_results(exam, sources, EVERYTHING):
        assert [value for value in decimals(dcmread(BytesIO(encoded.content))) if len(value) > 16] == []


TRIAL = {"ClinicalTrialSponsorName": "S", "ClinicalTrialProtocolID": "P", "ClinicalTrialSubjectID": "1"}


def test_what_a_trial_must_always_have_is_there_and_empty_where_the_image_has_it_empty() -> None:
    told = demographics(item(**TRIAL, ClinicalTrialSiteID=""))
    assert (told.ClinicalTrialSubjectID, told.ClinicalTrialSiteID, told.ClinicalTrialSiteName) == ("1", "", "")
    assert told.ClinicalTrialProtocolName == ""


@pytest.mark.parametrize("missing", TRIAL)
def test_a_trial_of_which_too_little_is_stated_is_left_out(missing: str) -> None:
    told = demographics(item(**{keyword: value for keyword, value in TRIAL.items() if keyword != missing}))
    assert [keyword for keyword in told.dir() if "Trial" in keyword] == []


def test_another_patient_id_without_its_type_is_kept_and_an_age_that_is_none_is_not() -> None:
    told = demographics(item(OtherPatientIDsSequence=[item(PatientID="OLD")], PatientAge="65"))
    assert [(entry.PatientID, entry.TypeOfPatientID) for entry in told.OtherPatientIDsSequence] == [("OLD", "TEXT")]
    assert "PatientAge" not in told
