"""All objects that a revision of a study gives, encoded and read back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from pydicom import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MammographyCADSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicom_io.network.scu import Content
from dicom_io.results.cad_sr.report import encode_cad_sr
from dicom_io.results.checks import check_together
from dicom_io.results.encoding import Encoding, titles_of, to_bytes
from dicom_io.results.gsps.display import is_grey
from dicom_io.results.gsps.state import encode_gsps
from dicom_io.results.key_objects import encode_key_objects
from dicom_io.results.profiles import Profile, ResultKind
from dicom_io.results.seg.segmentation import encode_seg, read_back
from dicom_io.results.sr.report import encode_sr
from dicom_io.results.summary.capture import encode_summary
from models.types import ExamReading

CONTENTS: Mapping[ResultKind, Content] = {
    kind: Content(sop_class_uid, ExplicitVRLittleEndian)
    for kind, sop_class_uid in (
        (ResultKind.SEG, SegmentationStorage),
        (ResultKind.SR, Comprehensive3DSRStorage),
        (ResultKind.CAD_SR, MammographyCADSRStorage),
        (ResultKind.GSPS, GrayscaleSoftcopyPresentationStateStorage),
        (ResultKind.SC, SecondaryCaptureImageStorage),
        (ResultKind.KO, KeyObjectSelectionDocumentStorage),
        (ResultKind.REJECTION, KeyObjectSelectionDocumentStorage),
    )
}


def contents_of(profile: Profile, *, rejection_notes: bool = False) -> tuple[Content, ...]:
    """What a destination of this profile, that may get rejection notes too, is asked to accept."""
    kinds = profile.kinds | ({ResultKind.REJECTION} if rejection_notes else set())
    return tuple(dict.fromkeys(content for kind, content in CONTENTS.items() if kind in kinds))


@dataclass(frozen=True)
class ResultObject:
    """One object, ready to be stored.

    Attributes:
        content: the file (PS3.10).
    """

    kind: ResultKind
    sop_instance_uid: str
    content: bytes


def encode_results(
    exam: ExamReading,
    sources: Mapping[str, Dataset],
    encoding: Encoding,
    predecessors: Mapping[ResultKind, Dataset] | None = None,
    rejected: Collection[str] = (),
) -> list[ResultObject]:
    """All objects of the encoding's profile, checked: what each image with findings gives, then those of the exam.

    An image in colour gives no GSPS: grayscale presentation states are of grayscale images (PS3.3 §A.33.1).

    Args:
        sources: the header of each instance of the study, by SOP Instance UID.
        predecessors: the documents of the same profile that this revision replaces.
        rejected: SOP Instance UIDs that were taken back somewhere. What is right again after all comes under another.

    Raises:
        NotEncodable: an object cannot be written, a SEG does not read back as the masks it was made of, or objects
            refer to what is not there (see checks.py).
    """
    kinds, before = encoding.profile.kinds, predecessors or {}
    with_findings = [image for image in exam.images if image.reading.findings]
    segs: dict[str, Dataset] = {}
    written: list[tuple[ResultKind, Dataset]] = []
    objects: list[ResultObject] = []

    def fresh(encode: Callable[..., Dataset], own: Encoding) -> Dataset:
        dataset = encode(encoding=own)
        while dataset.SOPInstanceUID in rejected:
            own = replace(own, again=own.again + 1)
            dataset = encode(encoding=own)
        return dataset

    def put(kind: ResultKind, dataset: Dataset) -> bytes:
        content = to_bytes(dataset)
        written.append((kind, dataset))
        objects.append(ResultObject(kind, dataset.SOPInstanceUID, content))
        return content

    titles = dict(zip((image.sop_instance_uid for image in exam.images), titles_of(exam.images), strict=True))
    for image in with_findings:
        title, own = titles[image.sop_instance_uid], encoding.by_readers_of([image])
        source = sources[image.sop_instance_uid]
        if ResultKind.SEG in kinds:
            seg = fresh(partial(encode_seg, source, image, title=title), own)
            read_back(put(ResultKind.SEG, seg), image)
            del seg.PixelData  # the others need its header alone
            segs[image.sop_instance_uid] = seg
        if ResultKind.GSPS in kinds and is_grey(source):
            put(ResultKind.GSPS, fresh(partial(encode_gsps, source, image, title=title), own))
    whole = encoding.by_readers_of(exam.images)
    if ResultKind.CAD_SR in kinds:
        cad_sr = partial(encode_cad_sr, exam, sources, predecessor=before.get(ResultKind.CAD_SR))
        put(ResultKind.CAD_SR, fresh(cad_sr, whole))
    if ResultKind.SC in kinds:
        put(ResultKind.SC, fresh(partial(encode_summary, exam, sources), whole))
    if ResultKind.KO in kinds and with_findings:
        key_objects = partial(encode_key_objects, exam, sources)
        put(ResultKind.KO, fresh(key_objects, encoding.by_readers_of(with_findings)))
    predecessor = before.get(ResultKind.SR)
    if ResultKind.SR in kinds:
        put(ResultKind.SR, encode_sr(exam, sources, segs, encoding=whole, predecessor=predecessor))
    check_together(written, exam, sources, predecessor)
    return objects
