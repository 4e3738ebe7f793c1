"""Wrong, too long or partial attributes of an image invalidate no object: they are fitted or left out."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from reports import R_CC, some_exam, some_sources, with_spacing
from stating_sources import EVERYTHING, coded, item
from validators import dciodvfy

from dicom_io.results.encode import encode_results
from dicom_io.results.profiles import IN_PROFILES
from dicom_io.results.sources import demographics
from dicom_io.results.view_modifiers import view_modifiers

pytestmark = pytest.mark.slow


def test_malformed_and_private_attributes_of_an_image_are_left_out() -> None:
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
def test_attributes_that_need_each_other_are_copied_together_or_not_at_all(
    stated: Mapping[str, object], left_out: list[str]
) -> None:
    taken = demographics(item(**stated))
    assert [keyword for keyword in stated if keyword not in taken] == left_out


def test_objects_are_valid_even_if_the_source_names_no_method_of_deidentification(tmp_path: Path) -> None:
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
    """Items of which none is valid, except the last, whose Code Meaning alone is too long."""
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
def test_objects_are_all_written_and_valid_if_codes_and_texts_of_the_source_are_too_long(tmp_path: Path) -> None:
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


def test_type_2_attributes_of_a_trial_are_written_empty_if_the_image_has_them_empty() -> None:
    dataset = demographics(item(**TRIAL, ClinicalTrialSiteID=""))
    assert (dataset.ClinicalTrialSubjectID, dataset.ClinicalTrialSiteID, dataset.ClinicalTrialSiteName) == ("1", "", "")
    assert dataset.ClinicalTrialProtocolName == ""


@pytest.mark.parametrize("missing", TRIAL)
def test_a_clinical_trial_without_its_required_attributes_is_left_out(missing: str) -> None:
    dataset = demographics(item(**{keyword: value for keyword, value in TRIAL.items() if keyword != missing}))
    assert [keyword for keyword in dataset.dir() if "Trial" in keyword] == []


def test_another_patient_id_without_its_type_is_kept_and_a_malformed_age_is_left_out() -> None:
    dataset = demographics(item(OtherPatientIDsSequence=[item(PatientID="OLD")], PatientAge="65"))
    assert [(entry.PatientID, entry.TypeOfPatientID) for entry in dataset.OtherPatientIDsSequence] == [("OLD", "TEXT")]
    assert "PatientAge" not in dataset
