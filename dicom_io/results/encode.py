"""All objects that a revision of a study gives, encoded and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, SegmentationStorage

from dicom_io.network.scu import Content
from dicom_io.results.encoding import Encoding, to_bytes
from dicom_io.results.seg import encode_seg, read_back
from dicom_io.results.sr import encode_sr
from models.types import ExamReading

__all__ = ["CONTENTS", "Encoding", "ResultObject", "encode_results"]

CONTENTS = tuple(Content(kind, ExplicitVRLittleEndian) for kind in (SegmentationStorage, Comprehensive3DSRStorage))
"""What a destination is asked to accept."""


@dataclass(frozen=True)
class ResultObject:
    """One object, ready to be stored.

    Attributes:
        kind: "SEG" or "SR".
        content: the file (PS3.10).
    """

    kind: str
    sop_instance_uid: str
    content: bytes


def encode_results(
    exam: ExamReading, sources: Mapping[str, Dataset], encoding: Encoding, predecessor: Dataset | None = None
) -> list[ResultObject]:
    """A SEG for each image with findings, then the report.

    Args:
        sources: the header of each instance of the study, by SOP Instance UID.
        predecessor: the report that this revision replaces.

    Raises:
        NotEncodable: an object cannot be written, or a SEG does not read back as the masks it was made of.
    """
    segs: dict[str, Dataset] = {}
    objects: list[ResultObject] = []
    for image in exam.images:
        if image.reading.findings:
            seg = encode_seg(sources[image.sop_instance_uid], image, encoding=encoding)
            content = to_bytes(seg)
            read_back(content, image)
            del seg.PixelData  # the report needs the header alone
            segs[image.sop_instance_uid] = seg
            objects.append(ResultObject("SEG", seg.SOPInstanceUID, content))
    sr = encode_sr(exam, sources, segs, encoding=encoding, predecessor=predecessor)
    return [*objects, ResultObject("SR", sr.SOPInstanceUID, to_bytes(sr))]
