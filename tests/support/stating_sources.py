"""Source images with all attributes that results can copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydicom import Dataset
from readings import ENCODING
from reports import some_sources

from dicom_io.results.profiles import PROFILES, ResultKind

EVERYTHING = replace(ENCODING, profile=PROFILES["all"])


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
"""The attributes in every object of any kind."""
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
"""The further attributes in objects of a kind."""


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
