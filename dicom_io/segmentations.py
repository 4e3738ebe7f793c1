"""Reads DICOM SEG: which pixels of which image belong to which segment (PS3.3 sections A.51 and C.8.20).

Reads BINARY, FRACTIONAL and LABELMAP segmentations of single images, written by the node, by viewers or by others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import iter_pixels
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

from dicom_io import attributes
from dicom_io.attributes import code, items, numbers, text
from dicom_io.errors import NotReadable, is_the_machines
from dicom_io.pixels.intact import read_as_stored, read_up_to_pixels
from dicom_io.segments import segments_of
from dicom_io.uids import derive_uid
from models.types.reading import FindingKind
from models.types.region import Mask

MAX_PIXELS = 100_000_000
"""The largest frame that is read, rows × columns."""

HALF = 0.5
"""A pixel of a FRACTIONAL segmentation belongs to the segment from this part of Maximum Fractional Value on."""


@dataclass(frozen=True, eq=False)
class ReadSegment:
    """The pixels of one segment in one image: at least one pixel.

    Attributes:
        image_uid: the SOP Instance UID of the image; None if the segmentation does not state it.
        mask: in the shape of the segmentation's frames.
    """

    number: int
    label: str
    kind: FindingKind | None
    image_uid: str | None
    mask: Mask


def read_segments(source: Path | Dataset, rows_columns: tuple[int, int] | None = None) -> list[ReadSegment]:
    """The pixels of each segment in each image, sorted by image and segment number. Segments without pixels are left
    out.

    Args:
        source: a SEG file, or its data set with pixel data.
        rows_columns: the shape of the image, which the segmentation must have too.

    Raises:
        NotReadable: no segmentation, another shape, rotated or mirrored, or frames and header contradict each other.
    """
    dataset = source if isinstance(source, Dataset) else _read(source)
    shape = shape_of(dataset)
    if rows_columns is not None and shape != rows_columns:
        raise NotReadable(
            f"The segmentation has {shape[0]} × {shape[1]} pixels, its image {rows_columns[0]} × {rows_columns[1]}: "
            "make it on the image as it was received, neither cropped nor resampled."
        )
    _check_orientation(dataset)
    described = {segment.number: segment for segment in segments_of(dataset)}
    pixels: dict[tuple[str, int], NDArray[np.bool_]] = {}
    images = images_of_frames(dataset)
    for index, plane in enumerate(_planes(dataset)):
        for segment, drawn in _segments_in(dataset, index, plane):
            if segment not in described:
                raise NotReadable(f"A frame belongs to segment {segment}, which the header does not describe.")
            key = (images[index] or "", segment)
            pixels[key] = pixels[key] | drawn if key in pixels else drawn
    return [
        ReadSegment(number, described[number].label, described[number].kind, image or None, mask)
        for (image, number), drawn in sorted(pixels.items(), key=lambda entry: entry[0])
        if (mask := Mask.from_full(drawn)) is not None
    ]


def of_one_image(dataset: Dataset, image_uid: str) -> Dataset:
    """The frames of a segmentation that belong to one of its images, uncompressed, with a new SOP Instance UID.

    Raises:
        NotReadable: see `read_segments`.
    """
    chosen = [index for index, uid in enumerate(images_of_frames(dataset)) if uid == image_uid]
    planes = [plane for index, plane in enumerate(_planes(dataset)) if index in chosen]
    part = Dataset({tag: dataset.get_item(tag) for tag in dataset.keys() if tag != Tag("PixelData")})  # noqa: SIM118
    part.file_meta = deepcopy(dataset.file_meta)
    part.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    part.SOPInstanceUID = derive_uid("of one image", dataset.SOPInstanceUID, image_uid)
    part.file_meta.MediaStorageSOPInstanceUID = part.SOPInstanceUID
    part.NumberOfFrames = len(chosen)
    part.PerFrameFunctionalGroupsSequence = [_frames(dataset)[index] for index in chosen]
    stack = np.stack(planes) if planes else np.zeros((0, *shape_of(dataset)), dtype=np.uint8)
    if attributes.number(dataset, "BitsAllocated") == 1:
        packed = np.packbits((stack != 0).ravel(), bitorder="little").tobytes()
    else:
        packed = stack.astype(stack.dtype.newbyteorder("<")).tobytes()
    part.PixelData = packed + b"\0" * (len(packed) % 2)
    part["PixelData"].VR = "OB" if stack.dtype.itemsize == 1 else "OW"
    return part


def has_same_frames(left: Path, right: Path) -> bool:
    """Whether two segmentations hold the same values in the same order, whatever their transfer syntaxes.

    Raises:
        NotReadable: one is damaged, or frames and header contradict each other.
    """
    planes = zip_longest(_planes(_read(left)), _planes(_read(right)))
    return all(one is not None and other is not None and np.array_equal(one, other) for one, other in planes)


def shape_of(dataset: Dataset) -> tuple[int, int]:
    """Rows and columns of the segmentation's frames.

    Raises:
        NotReadable: they are missing, or there are more than MAX_PIXELS pixels.
    """
    rows, columns = attributes.number(dataset, "Rows") or 0, attributes.number(dataset, "Columns") or 0
    if rows < 1 or columns < 1 or rows * columns > MAX_PIXELS:
        raise NotReadable(f"The header declares a segmentation of {rows:g} × {columns:g} pixels.")
    return int(rows), int(columns)


def images_of_frames(dataset: Dataset) -> list[str | None]:
    """For each frame, the SOP Instance UID of its image; None if it is not stated.

    By the frame's Derivation Image Sequence, else the shared one; if neither names an image and the segmentation
    refers to a single image, that image.
    """
    shared = _sources(_shared(dataset))
    referenced = referenced_images(dataset)
    only = referenced[0] if len(referenced) == 1 else None
    return [_only(_sources([frame]) or shared) or only for frame in _frames(dataset)]


def referenced_images(dataset: Dataset) -> tuple[str, ...]:
    """The distinct SOP Instance UIDs of the images that the segmentation as a whole refers to.

    By Referenced Series Sequence; if that names none, by Source Image Sequence and Referenced Image Sequence.
    """
    in_series = [
        text(instance, "ReferencedSOPInstanceUID")
        for series in items(dataset, "ReferencedSeriesSequence")
        for instance in items(series, "ReferencedInstanceSequence")
    ]
    direct = [
        text(instance, "ReferencedSOPInstanceUID")
        for keyword in ("SourceImageSequence", "ReferencedImageSequence")
        for instance in items(dataset, keyword)
    ]
    return tuple(dict.fromkeys(filter(None, in_series or direct)))


def has_no_frames(dataset: Dataset) -> bool:
    """Whether the segmentation has no frames, and so no pixel data: nothing is segmented."""
    return attributes.number(dataset, "NumberOfFrames") == 0 and not _frames(dataset)


def read_header(path: Path) -> Dataset:
    """A file's data set without its pixels.

    Raises:
        NotReadable: the file is not DICOM, or damaged.
        OSError: the file cannot be read.
    """
    return _parsed(path, read_up_to_pixels)


def _read(path: Path) -> Dataset:
    dataset = _parsed(path, read_as_stored)
    if "SegmentSequence" not in dataset:
        raise NotReadable("The file is no DICOM segmentation: it has no SegmentSequence.")
    return dataset


def _parsed(path: Path, read: Callable[[Path], Dataset]) -> Dataset:
    try:
        return read(path)
    except NotReadable:
        raise
    except InvalidDicomError as cause:
        raise NotReadable("The file is not a DICOM file.") from cause
    except Exception as cause:  # damaged bytes can raise anything in a parser
        if is_the_machines(cause):
            raise
        raise NotReadable("The DICOM file is damaged or cut short.") from cause


def _check_orientation(dataset: Dataset) -> None:
    # A projection has no orientation in space. If a viewer wrote the nominal orientation, rows and columns are those of
    # the image. Any other orientation means that the viewer rotated or mirrored the image.
    for group in (*_shared(dataset), *_frames(dataset)):
        for plane in items(group, "PlaneOrientationSequence"):
            stated = numbers(plane, "ImageOrientationPatient")
            if stated and not np.allclose(stated, (1, 0, 0, 0, 1, 0), atol=1e-3):
                raise NotReadable(
                    "The segmentation's ImageOrientationPatient says that its frames are rotated or mirrored against "
                    "the image: export it with the image's own rows and columns."
                )


def _planes(dataset: Dataset) -> Iterator[NDArray[Any]]:
    """Yields the stored values of each frame, rows × columns: all frames together may not fit into memory."""
    count = attributes.number(dataset, "NumberOfFrames") or 0
    if count != len(_frames(dataset)):
        raise NotReadable("The segmentation's NumberOfFrames is not the number of its per-frame functional groups.")
    if not count:
        return
    shape = shape_of(dataset)
    try:
        for number, plane in enumerate(iter_pixels(dataset, raw=True), start=1):
            if plane.shape != shape or number > count:
                raise NotReadable("The segmentation's frames have other dimensions than its header says.")
            yield plane
    except (NotReadable, GeneratorExit):
        raise
    except Exception as cause:  # codecs raise various types
        if is_the_machines(cause):
            raise
        raise NotReadable("The segmentation's pixel data is damaged, cut short or not as its header says.") from cause


def _segments_in(dataset: Dataset, index: int, plane: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    match code(dataset, "SegmentationType"):
        case "LABELMAP":
            background = {0, int(attributes.number(dataset, "PixelPaddingValue") or 0)}
            for value in np.unique(plane):
                if int(value) not in background:
                    yield int(value), plane == value
        case "FRACTIONAL":
            full = attributes.number(dataset, "MaximumFractionalValue")
            if not full:
                raise NotReadable("A FRACTIONAL segmentation must state its MaximumFractionalValue.")
            yield _segment_of(dataset, index), plane >= HALF * full
        case "BINARY":
            yield _segment_of(dataset, index), plane != 0
        case _:
            raise NotReadable("The segmentation's SegmentationType is neither BINARY, FRACTIONAL nor LABELMAP.")


def _segment_of(dataset: Dataset, index: int) -> int:
    for group in (_frames(dataset)[index], *_shared(dataset)):
        for identification in items(group, "SegmentIdentificationSequence"):
            value = attributes.number(identification, "ReferencedSegmentNumber")
            if value is not None:
                return int(value)
    raise NotReadable(f"Frame {index + 1} of the segmentation does not say to which segment it belongs.")


def _frames(dataset: Dataset) -> Sequence[Dataset]:
    return items(dataset, "PerFrameFunctionalGroupsSequence")


def _shared(dataset: Dataset) -> Sequence[Dataset]:
    return items(dataset, "SharedFunctionalGroupsSequence")


def _sources(groups: Sequence[Dataset]) -> tuple[str, ...]:
    named = [
        text(image, "ReferencedSOPInstanceUID")
        for group in groups
        for derivation in items(group, "DerivationImageSequence")
        for image in items(derivation, "SourceImageSequence")
    ]
    return tuple(dict.fromkeys(filter(None, named)))


def _only(uids: tuple[str, ...]) -> str | None:
    return uids[0] if len(uids) == 1 else None
