"""A segmentation that somebody else made on our images: an expert's correction of the node's proposals.

Viewers keep few attributes of the loaded segmentation. OHIF 3.12 writes the Manufacturer "Unspecified", no Content
Creator, the type "Tissue" and the algorithm type MANUAL for every segment; it keeps labels and Series Instance UID,
and names the edited object in the Predecessor Documents Sequence. 3D Slicer and MITK (both by dcmqi) write the
Manufacturer "QIICR" and what the user entered. So a correction is recognised by the images that it refers to, and by
not being ours (dicom_io.device.is_ours).
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
    """The header of a segmentation.

    Attributes:
        creator: Content Creator's Name, a member of staff; "" if it is absent or is the name of this program, which
            our results carry.
        created: Content Date and Time, else Instance Creation Date and Time, in the time zone that the segmentation
            states, else this machine's; None if both are absent or have no time.
        images: SOP Instance UIDs of the annotated images, including those without a lesion: those of its frames, also
            of empty frames; if it has no frames, all images that it refers to. Empty if a frame does not state which
            of several images it belongs to.
        segments: as the header describes them.
        automatic_by: the names of the algorithms if every segment is AUTOMATIC: then no person drew them, unless they
            are proposals that were opened in a viewer. Empty if any segment is not AUTOMATIC.
        predecessors: SOP Instance UIDs of the objects of which it is an edited version.
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
        by_hand: whether the algorithm type of any segment, also of an empty one, is MANUAL.
        images: see CorrectionHeader; an image without any of `segments` has no lesion.
        segments: the segments with pixels, each in one of `images`.
    """

    sop_instance_uid: str
    creator: str
    created: datetime | None
    by_hand: bool
    images: tuple[str, ...]
    segments: tuple[ReadSegment, ...]


def read_correction_header(path: Path) -> CorrectionHeader:
    """Reads a segmentation's header. The node does so in a worker process, so this module imports no database.

    Raises:
        NotReadable: the file is damaged.
        OSError: the file cannot be read.
    """
    return describe_correction(read_header(path))


def describe_correction(dataset: Dataset) -> CorrectionHeader:
    """The parts of a segmentation's header that the node uses."""
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
    """Reads a correction from a file.

    Args:
        rows_columns: the shape of its images; the segmentation must have the same.

    Raises:
        NotReadable: no segmentation, damaged, of another shape than its images, or with frames that name no image.
    """
    drawn = read_segments(path, rows_columns)
    header = read_header(path)
    described = describe_correction(header)
    return Correction(
        sop_instance_uid=text(header, "SOPInstanceUID"),
        creator=described.creator,
        created=described.created,
        by_hand=any(segment.by_hand for segment in described.segments),
        images=described.images,
        segments=tuple(segment for segment in drawn if segment.image_uid in described.images),
    )


def _creator(dataset: Dataset) -> str:
    name = text(dataset, "ContentCreatorName")
    return "" if name.rstrip("^ ").lower() == MANUFACTURER else name


def _images(dataset: Dataset) -> tuple[str, ...]:
    of_frames = images_of_frames(dataset)
    if not of_frames:
        return referenced_images(dataset)
    return () if None in of_frames else tuple(dict.fromkeys(uid for uid in of_frames if uid))
