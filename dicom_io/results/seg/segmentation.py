"""DICOM Segmentation (PS3.3 §A.51): the masks of one image's lesions, one segment per lesion, in its own series."""

from __future__ import annotations

from functools import partial
from io import BytesIO

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
    segread,
)
from highdicom.sr.coding import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_io.device import MANUFACTURER, MODEL
from dicom_io.errors import NotEncodable
from dicom_io.results import codes
from dicom_io.results.colours import COLOURS
from dicom_io.results.encoding import Encoding, lesion_name, place, sign
from dicom_io.results.fingerprints import fingerprint
from dicom_io.results.lossy import lossy_compression
from dicom_io.results.masks import check_masks
from dicom_io.results.seg.frames import add_nominal_geometry, own_dimensions, segments_per_frame
from dicom_io.results.sources import patient_orientation, request_attributes, set_referenced_class, stand_in
from models.types.exam import ExamImage
from models.types.mammogram import Laterality
from models.types.words import RESEARCH_USE

SERIES_NUMBER = 9100


def encode_seg(source: Dataset, image: ExamImage, *, encoding: Encoding, title: str = "") -> Dataset:
    """Encodes the findings of one image as a BINARY segmentation; segment n is the reading's finding n.

    Args:
        source: the image's header (pixel data is not used).
        image: its reading, with at least one finding.
        title: its name if the exam has several images of its view ("R CC, image 2"); otherwise breast and view.

    Raises:
        NotEncodable: there are no findings, or a mask is empty or extends beyond the image.
    """
    check_masks(image)
    title = title or place(image)
    outlined = [(finding.kind, finding.mask) for finding in image.reading.findings]
    content = fingerprint((title, image.reading.shape, image.reading.spacing_mm, outlined), [source])
    uid = partial(encoding.lasting_uid, source.StudyInstanceUID, content)
    seg = Segmentation(
        source_images=[stand_in(source, image.reading.shape)],
        pixel_array=_pixels(image),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(image, number) for number in range(1, len(image.reading.findings) + 1)],
        series_instance_uid=uid("SEG series", image.sop_instance_uid),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid("SEG", image.sop_instance_uid),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=str(image.reading.bundle)[:64],
        device_serial_number=encoding.device.serial_number,
        content_label="FINDINGS",
        content_description=f"Lesions found by {image.reading.bundle}; {RESEARCH_USE}"[:64],
        content_creator_name=f"{MANUFACTURER}^",
        series_description=f"{title} findings, {RESEARCH_USE}{encoding.edition}, mammo-node"[:64],
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    set_referenced_class(seg, source)
    sign(seg, source, encoding)
    seg.update(request_attributes(source))
    seg.update(lossy_compression([source]))
    seg.PatientOrientation = list(patient_orientation(source) or ())
    _set_laterality(seg, image.laterality)
    own_dimensions(seg, uid("SEG dimensions", image.sop_instance_uid))
    segments_per_frame(seg)
    if encoding.profile.nominal_geometry:
        frame_of_reference_uid = uid("SEG frame of reference", image.sop_instance_uid)
        add_nominal_geometry(seg, image.reading.spacing_mm or (1.0, 1.0), frame_of_reference_uid)
    return seg


def read_back(seg_bytes: bytes, image: ExamImage) -> None:
    """Decodes an encoded segmentation as a receiver would and compares it with the masks of the reading.

    Raises:
        NotEncodable: a segment is missing, belongs to another lesion, or differs from its mask in any pixel.
    """
    seg = segread(BytesIO(seg_bytes))
    findings = image.reading.findings
    if seg.number_of_segments != len(findings):
        raise NotEncodable(f"The SEG holds {seg.number_of_segments} segments for {len(findings)} findings.")
    for number, finding in enumerate(findings, start=1):
        if seg.get_segment_description(number).tracking_uid != lesion_name(image, number).uid:
            raise NotEncodable(f"Segment {number} of the SEG names another lesion than finding {number}.")
        decoded = seg.get_pixels_by_source_instance(
            source_sop_instance_uids=[image.sop_instance_uid], segment_numbers=[number]
        )[0, :, :, 0]
        if not np.array_equal(decoded.astype(bool), finding.mask.full(image.reading.shape)):
            raise NotEncodable(f"Segment {number} of the SEG does not read back as the mask of finding {number}.")


def _pixels(image: ExamImage) -> NDArray[np.generic]:
    """A label map of the segments' numbers (1 × rows × columns), which highdicom checks and writes fastest; where
    lesions overlap, one plane for each segment (1 × rows × columns × segments)."""
    findings = image.reading.findings
    labels = np.zeros((1, *image.reading.shape), dtype=np.min_scalar_type(len(findings)))
    for number, finding in enumerate(findings, start=1):
        within, crop = labels[0, *finding.mask.box.slices], finding.mask.crop
        if within[crop].any():
            return np.stack([finding.mask.full(image.reading.shape) for finding in findings], axis=-1)[np.newaxis]
        within[crop] = number
    return labels


def _set_laterality(seg: Dataset, laterality: Laterality | None) -> None:
    """Sets Image Laterality (PS3.3 section C.7.6.1), which makes the series' Laterality unnecessary, and the Anatomic
    Region Modifier of each segment (section 10.5)."""
    if laterality is None:
        return
    seg.ImageLaterality = laterality
    for segment in seg.SegmentSequence:
        for region in segment.AnatomicRegionSequence:
            region.AnatomicRegionModifierSequence = [CodedConcept.from_code(codes.LATERALITIES[laterality])]


def _describe(image: ExamImage, number: int) -> SegmentDescription:
    finding = image.reading.findings[number - 1]
    bundle = image.reading.bundle
    name = lesion_name(image, number)
    return SegmentDescription(
        segment_number=number,
        segment_label=name.label,
        segmented_property_category=codes.MORPHOLOGICALLY_ABNORMAL,
        segmented_property_type=codes.FINDINGS[finding.kind],
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=bundle.name, version=bundle.version, family=codes.ARTIFICIAL_INTELLIGENCE
        ),
        tracking_uid=name.uid,
        tracking_id=name.identifier,
        anatomic_regions=[codes.BREAST],
        display_color=CIELabColor.from_rgb(*COLOURS[finding.kind]),
    )
