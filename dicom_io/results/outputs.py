"""The registry of all kinds of DICOM objects that the node writes: SOP class, modules and encoder.

A new kind needs its name in `ResultKind` (profiles.py), a row in OUTPUTS, and the same name in the setting `objects` of
a destination: config knows no DICOM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydicom import Dataset
from pydicom.uid import (
    UID,
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
from dicom_io.results.encoding import Encoding
from dicom_io.results.gsps.display import is_grey
from dicom_io.results.gsps.state import encode_gsps
from dicom_io.results.key_objects import encode_key_objects
from dicom_io.results.profiles import Profile, ResultKind
from dicom_io.results.seg.segmentation import encode_seg, read_back
from dicom_io.results.sr.report import encode_sr
from dicom_io.results.summary.capture import encode_summary
from models.types.exam import ExamImage, ExamReading


@dataclass(frozen=True)
class Basis:
    """The input for an object of the exam.

    Attributes:
        sources: the header of each instance of the study, by SOP Instance UID.
        segs: the headers of our segmentations, by the SOP Instance UID of the image that they segment.
        predecessor: the document of the same kind and profile that it replaces.
    """

    exam: ExamReading
    sources: Mapping[str, Dataset]
    segs: Mapping[str, Dataset]
    predecessor: Dataset | None


class ImageEncoder(Protocol):
    """Encodes an object of one image with findings, from its header and its reading."""

    def __call__(self, source: Dataset, image: ExamImage, *, encoding: Encoding, title: str = "") -> Dataset:
        """Raises NotEncodable if it cannot be written."""


ExamEncoder = Callable[[Basis, Encoding], Dataset]
"""Encodes an object of the exam; raises NotEncodable if it cannot be written."""


def _every(_: Dataset) -> bool:
    return True


def _unchecked(_: bytes, __: ExamImage) -> None:
    return


@dataclass(frozen=True)
class Output:
    """A kind of object.

    Attributes:
        modules: of its information object definition (PS3.3 Annex A), as the conformance statement names them.
        of_image: encodes an object of each image with findings; None for objects of the exam.
        suits: whether an image, by its header, can have such an object.
        check: raises NotEncodable if the encoded object of an image does not hold the image's reading.
        of_exam: encodes an object of the exam; None for objects of an image.
        only_findings: whether the object of the exam is written only if there are findings.
        names_predecessor: whether it names the document of an earlier revision that it replaces.
        of_revision: whether each revision has a new object; the others have UIDs derived from their content.
        has_bytes: whether it has pixels of whole bytes, which codecs for images compress; a SEG has single bits.
    """

    sop_class_uid: UID
    modules: tuple[str, ...]
    of_image: ImageEncoder | None = None
    suits: Callable[[Dataset], bool] = _every
    check: Callable[[bytes, ExamImage], None] = _unchecked
    of_exam: ExamEncoder | None = None
    only_findings: bool = False
    names_predecessor: bool = False
    of_revision: bool = False
    has_bytes: bool = False

    @property
    def content(self) -> Content:
        """The presentation context that a destination must accept."""
        return Content(self.sop_class_uid, ExplicitVRLittleEndian)


def _cad_sr(basis: Basis, encoding: Encoding) -> Dataset:
    return encode_cad_sr(basis.exam, basis.sources, encoding=encoding, predecessor=basis.predecessor)


def _summary(basis: Basis, encoding: Encoding) -> Dataset:
    return encode_summary(basis.exam, basis.sources, encoding=encoding)


def _key_objects(basis: Basis, encoding: Encoding) -> Dataset:
    return encode_key_objects(basis.exam, basis.sources, encoding=encoding)


def _sr(basis: Basis, encoding: Encoding) -> Dataset:
    return encode_sr(basis.exam, basis.sources, basis.segs, encoding=encoding, predecessor=basis.predecessor)


_KEY_OBJECT_MODULES = (
    "Patient", "General Study", "Key Object Document Series", "General Equipment", "Key Object Document",
    "SR Document Content", "SOP Common",
)  # fmt: skip

OUTPUTS: Mapping[ResultKind, Output] = {
    ResultKind.SEG: Output(
        SegmentationStorage,
        (
            "Patient", "General Study", "General Series", "Segmentation Series",
            "Frame of Reference (nominal geometry only)", "General Equipment", "Enhanced General Equipment",
            "General Image", "General Reference", "Image Pixel", "Segmentation Image",
            "Multi-frame Functional Groups", "Multi-frame Dimension", "Common Instance Reference", "SOP Common",
        ),
        of_image=encode_seg,
        check=read_back,
    ),
    # Grayscale presentation states are of grayscale images (PS3.3 section A.33.1).
    ResultKind.GSPS: Output(
        GrayscaleSoftcopyPresentationStateStorage,
        (
            "Patient", "General Study", "General Series", "Presentation Series", "General Equipment",
            "Presentation State Identification", "Presentation State Relationship", "Displayed Area",
            "Graphic Annotation", "Graphic Layer", "Modality LUT (as the image)", "Softcopy VOI LUT (as the image)",
            "Softcopy Presentation LUT", "SOP Common",
        ),
        of_image=encode_gsps,
        suits=is_grey,
    ),
    ResultKind.CAD_SR: Output(
        MammographyCADSRStorage,
        (
            "Patient", "General Study", "SR Document Series", "General Equipment", "SR Document General",
            "SR Document Content", "SOP Common",
        ),
        of_exam=_cad_sr,
        names_predecessor=True,
    ),
    ResultKind.SC: Output(
        SecondaryCaptureImageStorage,
        (
            "Patient", "General Study", "General Series", "General Equipment", "SC Equipment", "General Image",
            "Image Pixel", "SC Image", "SOP Common",
        ),
        of_exam=_summary,
        has_bytes=True,
    ),
    ResultKind.KO: Output(
        KeyObjectSelectionDocumentStorage, _KEY_OBJECT_MODULES, of_exam=_key_objects, only_findings=True
    ),
    ResultKind.SR: Output(
        Comprehensive3DSRStorage,
        (
            "Patient", "General Study", "SR Document Series", "General Equipment", "Enhanced General Equipment",
            "SR Document General", "SR Document Content", "SOP Common",
        ),
        of_exam=_sr,
        names_predecessor=True,
        of_revision=True,
    ),
    # Not of a reading: it is written when results are rejected (rejections.py).
    ResultKind.REJECTION: Output(KeyObjectSelectionDocumentStorage, _KEY_OBJECT_MODULES),
}  # fmt: skip
"""Each kind, in the order of writing and sending: the report last."""


def contents_of(profile: Profile, *, rejection_notes: bool = False) -> tuple[Content, ...]:
    """The presentation contexts that a destination of this profile must accept."""
    kinds = profile.kinds | ({ResultKind.REJECTION} if rejection_notes else set())
    return tuple(dict.fromkeys(OUTPUTS[kind].content for kind in ResultKind if kind in kinds & OUTPUTS.keys()))


def preferred_syntaxes(
    profile: Profile, transfer_syntaxes: Sequence[UID], *, rejection_notes: bool = False
) -> Mapping[UID, Sequence[UID]]:
    """Of these transfer syntaxes, in their order, those in which each SOP class of the profile can be sent: whole data
    sets can be deflated, and only pixels of whole bytes compressed by a codec for images."""
    of_images = [uid for uid in transfer_syntaxes if uid.is_encapsulated]
    codecs_fit = {output.sop_class_uid: output.has_bytes for output in OUTPUTS.values()}
    classes = {content.sop_class_uid for content in contents_of(profile, rejection_notes=rejection_notes)}
    return {
        sop_class: [uid for uid in transfer_syntaxes if codecs_fit[sop_class] or uid not in of_images]
        for sop_class in classes
    }
