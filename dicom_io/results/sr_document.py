"""The modules that all our structured reports share: SR Document Series and SR Document General (PS3.3 sections
C.17.1 and C.17.2)."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom import Dataset
from pydicom.uid import UID

from dicom_io.results.encoding import file_meta, is_partial
from dicom_io.results.own_codes import coding_scheme
from dicom_io.results.sources import study_references
from models.types.exam import ExamReading


def sr_document(
    exam: ExamReading,
    study_instance_uid: str,
    *,
    sop_class_uid: UID,
    sop_instance_uid: str,
    series_instance_uid: str,
    evidence: Iterable[Dataset],
    predecessor: Dataset | None,
    details_in: str,
) -> Dataset:
    """A document without its content, its series' number and description, and what `sign` adds.

    Args:
        evidence: what the document refers to.
        predecessor: the document that it replaces.
        details_in: the part of the document that lists what is missing, for the Completion Flag Description.
    """
    sr = Dataset()
    sr.SOPClassUID = sop_class_uid
    sr.SOPInstanceUID = sop_instance_uid
    sr.file_meta = file_meta(sr)
    sr.StudyInstanceUID = study_instance_uid
    sr.Modality = "SR"
    sr.SeriesInstanceUID = series_instance_uid
    sr.ReferencedPerformedProcedureStepSequence = []
    sr.PerformedProcedureCodeSequence = []
    partial = is_partial(exam)
    sr.CompletionFlag = "PARTIAL" if partial else "COMPLETE"
    if partial:
        sr.CompletionFlagDescription = f"Views are missing or images were not read: see the {details_in}"
    sr.VerificationFlag = "UNVERIFIED"
    sr.CurrentRequestedProcedureEvidenceSequence = study_references(tuple(evidence))
    if predecessor is not None:
        sr.PredecessorDocumentsSequence = study_references([predecessor])
    sr.CodingSchemeIdentificationSequence = [coding_scheme()]
    return sr
