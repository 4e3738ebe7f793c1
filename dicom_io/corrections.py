"""A segmentation that somebody else made on our images: an expert's correction of what the node proposed.

Viewers keep little of what they loaded. OHIF 3.12 writes the Manufacturer "Unspecified", no Content Creator, the type
"Tissue" and the algorithm type MANUAL for every segment; it keeps labels and Series Instance UID, and names what was
edited in the Predecessor Documents Sequence. 3D Slicer and MITK (both by dcmqi) write the Manufacturer "QIICR" and what
their user filled in. So a correction is known by the images that it is about and by not being ours (dicom_io.device).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom import Dataset

from dicom_io.attributes import items, text
from dicom_io.device import MANUFACTURER
from dicom_io.moments import moment
from dicom_io.segmentations import (
    ReadSegment,
    images_of_frames,
    read_header,
    read_segments,
    referenced_images,
)
from dicom_io.segments import Segment, segments_of


@dataclass(frozen=True)
class CorrectionHeader:
    """What the header of a segmentation says, without its pixels.

    Attributes:
        creator: Content Creator's Name: who drew it; "" where it is not said, or names this program, whose results
            carry its name there. A member of staff, not the patient.
        created: Content Date and Time, or else those of Instance Creation, in the time zone that the segmentation
            states or else this machine's; None where it says neither, or a date without a time.
        images: SOP Instance UIDs of the images about which it says what is there, be it that nothing is: those of
            its frames, empty frames too; where it has no frames at all, all that it refers to. None where it does not
            tell to which of several images a frame belongs.
        segments: as described.
        automatic_by: the algorithms' names where every segment is said to be AUTOMATIC: then no person drew them,
            unless they are proposals that were opened in a viewer. Empty where any of them was drawn.
        predecessors: SOP Instance UIDs of the objects that it says it is an edited version of.
    """

    creator: str
    created: datetime | None
    images: tuple[str, ...]
    segments: tuple[Segment, ...]
    automatic_by: tuple[str, ...]
    predecessors: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Correction:
    """A correction with its pixels.

    Attributes:
        by_hand: whether any segment, be it empty, is said to be MANUAL.
        images: see CorrectionHeader; one of them without any of `segments` holds no lesion.
        segments: what is drawn, each in one of `images`.
    """

    sop_instance_uid: str
    creator: str
    created: datetime | None
    by_hand: bool
    images: tuple[str, ...]
    segments: tuple[ReadSegment, ...]


def read_correction_header(path: Path) -> CorrectionHeader:
    """Reads a segmentation's header. The node does so in a process of its own: this module imports no database.

    Raises:
        NotReadable: it is damaged.
        OSError: it cannot be had.
    """
    return describe_correction(read_header(path))


def describe_correction(dataset: Dataset) -> CorrectionHeader:
    """Who drew this segmentation, when, on which images, and what its segments are."""
    segments = tuple(segments_of(dataset))
    automatic = [segment.automatic_by for segment in segments if segment.automatic_by is not None]
    return CorrectionHeader(
        creator=_creator(dataset),
        created=moment(dataset, "ContentDate", "ContentTime")
        or moment(dataset, "InstanceCreationDate", "InstanceCreationTime"),
        images=_images(dataset),
        segments=segments,
        automatic_by=tuple(dict.fromkeys(automatic)) if automatic and len(automatic) == len(segments) else (),
        predecessors=tuple(
            text(sop, "ReferencedSOPInstanceUID")
            for document in items(dataset, "PredecessorDocumentsSequence")
            for series in items(document, "ReferencedSeriesSequence")
            for sop in items(series, "ReferencedSOPSequence")
        ),
    )


def read_correction(path: Path, rows_columns: tuple[int, int] | None = None) -> Correction:
    """A correction out of a file.

    Args:
        rows_columns: the shape of its images, which must be its own.

    Raises:
        NotReadable: no segmentation, damaged, of another shape than its images, or with frames that name no image.
    """
    drawn = read_segments(path, rows_columns)
    header = read_header(path)
    said = describe_correction(header)
    return Correction(
        sop_instance_uid=text(header, "SOPInstanceUID"),
        creator=said.creator,
        created=said.created,
        by_hand=any(segment.by_hand for segment in said.segments),
        images=said.images,
        segments=tuple(segment for segment in drawn if segment.image_uid in said.images),
    )


def _creator(dataset: Dataset) -> str:
    name = text(dataset, "ContentCreatorName")
    return "" if name.rstrip("^ ").lower() == MANUFACTURER else name


def _images(dataset: Dataset) -> tuple[str, ...]:
    of_frames = images_of_frames(dataset)
    if not of_frames:
        return referenced_images(dataset)
    return () if None in of_frames else tuple(dict.fromkeys(uid for uid in of_frames if uid))
