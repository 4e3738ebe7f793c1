"""The attributes that are copied from an image into every object about it, by module (PS3.3): patient, study and
request, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "TypeOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate", "PatientBirthTime", "PatientSex", "QualityControlSubject", "OtherPatientIDs",
    "OtherPatientIDsSequence", "OtherPatientNames", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
)  # fmt: skip
"""Section C.7.1.1. Other Patient IDs (0010,1000) is retired and still sent."""

TRIAL_SUBJECT = (
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName",
    "IssuerOfClinicalTrialProtocolID", "OtherClinicalTrialProtocolIDsSequence", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "IssuerOfClinicalTrialSiteID", "ClinicalTrialSubjectID", "IssuerOfClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID", "IssuerOfClinicalTrialSubjectReadingID",
    "ClinicalTrialProtocolEthicsCommitteeName", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
)  # fmt: skip
"""Clinical Trial Subject (section C.7.1.3)."""

NEEDED_OF_A_TRIAL_SUBJECT = (
    ("ClinicalTrialSponsorName",),
    ("ClinicalTrialProtocolID",),
    ("ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
)
"""Of type 1 and 1C: one of each must be present, or the module is left out."""

EVER_THERE_OF_A_TRIAL_SUBJECT = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")
"""Of type 2 if the module is present."""

CLINICAL_TRIAL = (
    # Study (section C.7.2.3)
    "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription", "LongitudinalTemporalOffsetFromEvent",
    "LongitudinalTemporalEventType", "ClinicalTrialTimePointTypeCodeSequence", "IssuerOfClinicalTrialTimePointID",
    "ConsentForClinicalTrialUseSequence",
    # Series (section C.7.3.2)
    "ClinicalTrialCoordinatingCenterName", "ClinicalTrialSeriesID", "ClinicalTrialSeriesDescription",
    "IssuerOfClinicalTrialSeriesID",
)  # fmt: skip

STUDY = (
    # General Study (section C.7.2.1)
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName", "StudyDescription", "ProcedureCodeSequence",
    # Patient Study (section C.7.2.2)
    "PatientAge", "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID", "IssuerOfServiceEpisodeIDSequence",
)  # fmt: skip

ONLY_WITH: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("PatientIdentityRemoved", "YES", ("DeidentificationMethod", "DeidentificationMethodCodeSequence")),
    ("UniversalEntityID", "", ("UniversalEntityIDType",)),
    ("ClinicalTrialProtocolEthicsCommitteeApprovalNumber", "", ("ClinicalTrialProtocolEthicsCommitteeName",)),
    ("LongitudinalTemporalOffsetFromEvent", "", ("LongitudinalTemporalEventType",)),
)
"""An attribute, its value where only one is meant, and others of which one must be there with it (type 1C, PS3.3
sections C.7.1.1, C.7.1.3, C.7.2.3 and 10.14): what an image states without them is left out."""

EVER_THERE_WITH: Mapping[str, tuple[str, ...]] = {
    "ClinicalTrialTimePointID": (
        "ClinicalTrialTimePointDescription", "LongitudinalTemporalOffsetFromEvent",
        "ClinicalTrialTimePointTypeCodeSequence", "IssuerOfClinicalTrialTimePointID",
        "ConsentForClinicalTrialUseSequence",
    ),
    "ClinicalTrialCoordinatingCenterName": (
        "ClinicalTrialSeriesID", "ClinicalTrialSeriesDescription", "IssuerOfClinicalTrialSeriesID",
    ),
}  # fmt: skip
"""Of type 2 if one of the others is present (PS3.3 sections C.7.2.3 and C.7.3.2)."""

NEEDED_OF_AN_ISSUER = (("LocalNamespaceEntityID", "UniversalEntityID"),)
NEEDED_OF_A_CODE = (
    ("CodeValue", "LongCodeValue", "URNCodeValue"),
    ("CodingSchemeDesignator", "URNCodeValue"),
    ("CodeMeaning",),
)
NEEDED_OF_AN_ITEM: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "OtherPatientIDsSequence": (("PatientID",),),
    "IssuerOfAccessionNumberSequence": NEEDED_OF_AN_ISSUER,
    "IssuerOfAdmissionIDSequence": NEEDED_OF_AN_ISSUER,
    "IssuerOfServiceEpisodeIDSequence": NEEDED_OF_AN_ISSUER,
    "OrderPlacerIdentifierSequence": NEEDED_OF_AN_ISSUER,
    "OrderFillerIdentifierSequence": NEEDED_OF_AN_ISSUER,
    "ConsentForClinicalTrialUseSequence": (("ConsentForDistributionFlag",),),
}
"""One of each must be there (types 1 and 1C), or the item is left out; of items of code sequences NEEDED_OF_A_CODE."""

COMMON = ("SpecificCharacterSet", "TimezoneOffsetFromUTC")
"""SOP Common (section C.12.1): how the texts above are written, and by which clock their times are."""

EVER_THERE = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Of type 2: empty where the image does not state them."""

IN_WORDS = ("CodeMeaning", "Description")
"""How keywords end whose values only people read: too long, they are cut; codes and identifiers are left out."""

REQUEST = (
    "AccessionNumber", "IssuerOfAccessionNumberSequence", "ReferencedStudySequence", "StudyInstanceUID",
    "PlacerOrderNumberImagingServiceRequest", "OrderPlacerIdentifierSequence",
    "FillerOrderNumberImagingServiceRequest", "OrderFillerIdentifierSequence", "RequestedProcedureID",
    "RequestedProcedureDescription", "RequestedProcedureCodeSequence", "ReasonForTheRequestedProcedure",
    "ReasonForRequestedProcedureCodeSequence",
)  # fmt: skip
"""Of an item of the Referenced Request Sequence (SR Document General and Key Object Document, sections C.17.2 and
C.17.6.2), taken from the image's Request Attributes Sequence (General Series, section C.7.3.1)."""

EVER_THERE_OF_A_REQUEST = (
    "AccessionNumber", "ReferencedStudySequence", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest", "RequestedProcedureID", "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
)  # fmt: skip
