"""The report: one Comprehensive 3D SR (PS3.3 §A.35.13) per revision of a study, each in its own series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import Encoding, sign
from dicom_io.results.sources import described_by, referenced_request
from dicom_io.results.sr.content import measurement_report
from dicom_io.results.sr_document import sr_document
from models.types.exam import ExamReading
from models.types.words import RESEARCH_USE

SERIES_NUMBER = 9000


def encode_sr(
    exam: ExamReading,
    sources: Mapping[str, Dataset],
    segs: Mapping[str, Dataset],
    *,
    encoding: Encoding,
    predecessor: Dataset | None = None,
) -> Dataset:
    """Encodes what was read, what was not read and why; also for a study in which nothing could be read.

    Args:
        exam: the reading.
        sources: the header of each instance of the study, by SOP Instance UID; an instance that was not read needs only
            its SOP class and its study, series and instance UIDs.
        segs: the segmentations, by the SOP Instance UID of the image that they segment.
        predecessor: the report that this revision replaces.

    Raises:
        NotEncodable: there is no source to refer to (viewers do not open a report without evidence), a source belongs
            to another study, or an image that was read has no header.
    """
    _check(exam, sources)
    described = described_by(exam.images, sources)
    study = described.StudyInstanceUID
    encoding = replace(encoding, language=encoding.language.for_text_of(described))
    sr = sr_document(
        exam,
        study,
        sop_class_uid=Comprehensive3DSRStorage,
        sop_instance_uid=encoding.uid(study, "SR"),
        series_instance_uid=encoding.uid(study, "SR series"),
        evidence=(*sources.values(), *segs.values()),
        predecessor=predecessor,
        details_in="comments",
    )
    sr.SeriesNumber = SERIES_NUMBER
    sr.SeriesDescription = f"AI report {_edition(encoding.revision)}, mammo-node, {RESEARCH_USE}"
    sr.InstanceNumber = encoding.revision
    sr.PreliminaryFlag = "PRELIMINARY"
    sr.update(measurement_report(exam, sources, segs.values(), encoding))
    sign(sr, described, encoding)
    sr.update(referenced_request(described))
    return sr


def _edition(revision: int) -> str:
    """The number of a report and of those that it replaces: the names of stored reports cannot be changed later."""
    replaced = {1: "", 2: " (replaces 1)"}.get(revision, f" (replaces 1-{revision - 1})")
    return f"{revision}{replaced}"


def _check(exam: ExamReading, sources: Mapping[str, Dataset]) -> None:
    if not sources:
        raise NotEncodable("A report needs at least one instance of its study to refer to.")
    if len({source.StudyInstanceUID for source in sources.values()}) > 1:
        raise NotEncodable("The sources of a report belong to more than one study.")
    if any(image.sop_instance_uid not in sources for image in exam.images):
        raise NotEncodable("An image that was read is not among the sources of the report.")
