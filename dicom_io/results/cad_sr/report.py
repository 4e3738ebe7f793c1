"""Mammography CAD SR (PS3.3 §A.35.5, TID 4000): one for every study, also where nothing was found or could be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydicom import Dataset
from pydicom.uid import MammographyCADSRStorage

from dicom_io.errors import NotEncodable
from dicom_io.results.cad_sr.content import LIBRARY_POSITION, cad_report
from dicom_io.results.cad_sr.library import library_of
from dicom_io.results.encoding import Encoding, file_meta, is_partial, sign
from dicom_io.results.fingerprints import exam_fingerprint
from dicom_io.results.own_codes import coding_scheme
from dicom_io.results.sources import referenced_request, study_references
from models.types import ExamReading

SERIES_NUMBER = 9200


def encode_cad_sr(
    exam: ExamReading, sources: Mapping[str, Dataset], *, encoding: Encoding, predecessor: Dataset | None = None
) -> Dataset:
    """What was looked for, where it succeeded, where it failed, and what was found.

    Args:
        exam: the reading.
        sources: the header of each instance of the study, by SOP Instance UID; of an instance that was not read only
            its SOP class and its study, series and instance UIDs are needed.
        predecessor: the one that came before; it is named where this is another.

    Raises:
        NotEncodable: there is no image to refer to, a source belongs to another study, or an image that was read has
            no header.
    """
    if len({source.StudyInstanceUID for source in sources.values()}) > 1:
        raise NotEncodable("The sources of a CAD report belong to more than one study.")
    library = library_of(exam, sources, LIBRARY_POSITION)
    described = library.sources[0]
    study = described.StudyInstanceUID
    # The radiologist's assessments have no place here: this object stays as it is when one comes in.
    content = exam_fingerprint(replace(exam, concordances=()), sources)
    if encoding.coded_category:
        content += " with coded category"
    sr = Dataset()
    sr.SOPClassUID = MammographyCADSRStorage
    sr.SOPInstanceUID = encoding.lasting_uid(study, content, "CAD-SR")
    sr.file_meta = file_meta(sr)
    sr.StudyInstanceUID = study
    sr.Modality = "SR"
    sr.SeriesInstanceUID = encoding.lasting_uid(study, content, "CAD-SR series")
    sr.SeriesNumber = SERIES_NUMBER
    sr.SeriesDescription = f"AI CAD{encoding.edition}, mammo-node, research use only"[:64]
    sr.InstanceNumber = 1
    sr.ReferencedPerformedProcedureStepSequence = []
    sr.PerformedProcedureCodeSequence = []
    partial = is_partial(exam)
    sr.CompletionFlag = "PARTIAL" if partial else "COMPLETE"
    if partial:
        sr.CompletionFlagDescription = "Views are missing or images were not read: see the impression"
    sr.VerificationFlag = "UNVERIFIED"
    sr.CurrentRequestedProcedureEvidenceSequence = study_references(library.sources)
    if predecessor is not None and predecessor.SOPInstanceUID != sr.SOPInstanceUID:
        sr.PredecessorDocumentsSequence = study_references([predecessor])
    sr.CodingSchemeIdentificationSequence = [coding_scheme()]
    sr.update(cad_report(exam, library, encoding))
    sign(sr, described, encoding)
    sr.update(referenced_request(described))
    return sr
