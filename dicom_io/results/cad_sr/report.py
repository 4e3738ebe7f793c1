"""Mammography CAD SR (PS3.3 §A.35.5, TID 4000): one per study, even if nothing was found or nothing could be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydicom import Dataset
from pydicom.uid import MammographyCADSRStorage

from dicom_io.errors import NotEncodable
from dicom_io.results.cad_sr.content import LIBRARY_POSITION, cad_report
from dicom_io.results.cad_sr.library import library_of
from dicom_io.results.encoding import Encoding, sign
from dicom_io.results.fingerprints import exam_fingerprint
from dicom_io.results.sources import referenced_request
from dicom_io.results.sr_document import sr_document
from models.types.exam import ExamReading
from models.types.words import RESEARCH_USE

SERIES_NUMBER = 9200


def encode_cad_sr(
    exam: ExamReading, sources: Mapping[str, Dataset], *, encoding: Encoding, predecessor: Dataset | None = None
) -> Dataset:
    """Encodes which detections and analyses were done, in which images they succeeded and failed, and what was found.

    Args:
        exam: the reading.
        sources: the header of each instance of the study, by SOP Instance UID; an instance that was not read needs only
            its SOP class and its study, series and instance UIDs.
        predecessor: the study's last CAD SR; the new object names it as predecessor if its UID differs.

    Raises:
        NotEncodable: there is no image to refer to, a source belongs to another study, or an image that was read has
            no header.
    """
    if len({source.StudyInstanceUID for source in sources.values()}) > 1:
        raise NotEncodable("The sources of a CAD report belong to more than one study.")
    library = library_of(exam, sources, LIBRARY_POSITION)
    described = library.sources[0]
    study = described.StudyInstanceUID
    # Without the radiologist's assessments: this object does not change when one is received.
    content = exam_fingerprint(replace(exam, concordances=()), sources)
    if encoding.coded_category:
        content += " with coded category"
    sop_instance_uid = encoding.lasting_uid(study, content, "CAD-SR")
    is_same = predecessor is not None and predecessor.SOPInstanceUID == sop_instance_uid
    sr = sr_document(
        exam,
        study,
        sop_class_uid=MammographyCADSRStorage,
        sop_instance_uid=sop_instance_uid,
        series_instance_uid=encoding.lasting_uid(study, content, "CAD-SR series"),
        evidence=library.sources,
        predecessor=None if is_same else predecessor,
        details_in="impression",
    )
    sr.SeriesNumber = SERIES_NUMBER
    sr.SeriesDescription = f"AI CAD{encoding.edition}, mammo-node, {RESEARCH_USE}"[:64]
    sr.InstanceNumber = 1
    sr.update(cad_report(exam, library, encoding))
    sign(sr, described, encoding)
    sr.update(referenced_request(described))
    return sr
