"""SEG as viewers and libraries write it, read into masks."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from annotating import IMAGE, OTHER_IMAGE, disc, mammogram_header, segmentation
from highdicom.seg import SegmentationTypeValues
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless, RLELossless

from dicom_io.errors import NotReadable
from dicom_io.segmentations import ReadSegment, images_of_frames, read_segments, referenced_images
from dicom_io.segments import segments_of
from models.types.reading import FindingKind

SHAPE = (61, 47)


def _masks(read: Sequence[ReadSegment]) -> dict[tuple[str | None, int], np.ndarray]:
    return {(segment.image_uid, segment.number): segment.mask.full(SHAPE) for segment in read}


@pytest.mark.parametrize("kind", list(SegmentationTypeValues))
def test_binary_fractional_and_labelmap_give_the_same_pixels(kind: SegmentationTypeValues):
    drawn = {"mass": disc(SHAPE, 20, 15, 9), "calcifications": disc(SHAPE, 50, 30, 7)}
    read = read_segments(segmentation(drawn, kind=kind), SHAPE)
    assert [(segment.number, segment.label, segment.kind) for segment in read] == [
        (1, "mass", FindingKind.MASS),
        (2, "calcifications", FindingKind.CALCIFICATION),
    ]
    masks = _masks(read)
    assert np.array_equal(masks[IMAGE, 1], drawn["mass"])
    assert np.array_equal(masks[IMAGE, 2], drawn["calcifications"])


def test_a_fractional_pixel_belongs_to_the_segment_from_a_half_upwards():
    drawn = np.zeros(SHAPE)
    drawn[10, 10:14] = (0.49, 0.5, 0.51, 1)
    (read,) = read_segments(segmentation({"mass": drawn}, kind=SegmentationTypeValues.FRACTIONAL))
    assert [int(column) for column in np.flatnonzero(read.mask.full(SHAPE)[10])] == [11, 12, 13]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_frames_are_read(syntax: str):
    seg = segmentation({"mass": disc(SHAPE, 20, 15, 9)}, kind=SegmentationTypeValues.LABELMAP)
    seg.compress(syntax)
    (read,) = read_segments(seg)
    assert np.array_equal(read.mask.full(SHAPE), disc(SHAPE, 20, 15, 9))


def test_lesions_that_overlap_keep_all_their_pixels():
    drawn = {"mass": disc(SHAPE, 20, 20, 9), "mass 2": disc(SHAPE, 25, 20, 9)}
    masks = _masks(read_segments(segmentation(drawn)))
    assert np.array_equal(masks[IMAGE, 1], drawn["mass"])
    assert np.array_equal(masks[IMAGE, 2], drawn["mass 2"])


def test_frames_in_any_order_belong_to_the_image_that_they_name():
    seg = segmentation({"mass": disc(SHAPE, 20, 15, 9), "calc": disc(SHAPE, 50, 30, 7)})
    frames = seg.pixel_array[::-1]
    groups = list(seg.PerFrameFunctionalGroupsSequence)[::-1]
    groups[0].DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = OTHER_IMAGE
    seg.PerFrameFunctionalGroupsSequence = groups
    seg.PixelData = np.packbits(frames.astype(bool).ravel(), bitorder="little").tobytes()
    masks = _masks(read_segments(seg))
    assert sorted(masks) == sorted([(IMAGE, 1), (OTHER_IMAGE, 2)])
    assert np.array_equal(masks[OTHER_IMAGE, 2], disc(SHAPE, 50, 30, 7))


def test_frames_of_the_same_segment_and_image_are_joined():
    seg = segmentation({"mass": disc(SHAPE, 20, 15, 9), "calc": disc(SHAPE, 50, 30, 7)})
    seg.PerFrameFunctionalGroupsSequence[1].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1
    (read,) = read_segments(seg)
    assert np.array_equal(read.mask.full(SHAPE), disc(SHAPE, 20, 15, 9) | disc(SHAPE, 50, 30, 7))


def test_a_frame_without_a_derivation_belongs_to_the_only_referenced_image():
    seg = segmentation({"mass": disc(SHAPE, 20, 15, 9)})
    for frame in seg.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence
    assert read_segments(seg)[0].image_uid == IMAGE
    other = Dataset()
    other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = seg.SOPClassUID, OTHER_IMAGE
    seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence.append(other)
    assert referenced_images(seg) == (IMAGE, OTHER_IMAGE)
    assert read_segments(seg)[0].image_uid is None, "it may be either"


def test_an_emptied_segment_has_no_pixels_and_still_names_its_image():
    seg = segmentation({"mass": np.zeros(SHAPE, dtype=bool)})
    assert read_segments(seg) == []
    assert images_of_frames(seg) == [IMAGE]


def test_the_kind_follows_from_the_code_or_else_from_the_label():
    seg = segmentation({"one": disc(SHAPE, 20, 15, 9), "two": disc(SHAPE, 50, 30, 7)})
    for item, label, value, meaning in zip(
        seg.SegmentSequence, ("Segment 1", "Microcalcs"), ("129788004", "85756007"), ("Mass", "Tissue"), strict=True
    ):
        item.SegmentLabel = label
        item.SegmentedPropertyTypeCodeSequence[0].CodeValue = value
        item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = meaning
    assert [segment.kind for segment in segments_of(seg)] == [FindingKind.MASS, FindingKind.CALCIFICATION]
    seg.SegmentSequence[1].SegmentLabel = "Segment 2"
    assert segments_of(seg)[1].kind is None


def test_an_image_of_another_size_is_refused():
    with pytest.raises(NotReadable, match=r"61 × 47 pixels, its image 60 × 47"):
        read_segments(segmentation({"mass": disc(SHAPE, 20, 15, 9)}), (60, 47))


def test_a_rotated_segmentation_is_refused():
    seg = segmentation({"mass": disc(SHAPE, 20, 15, 9)})
    orientation = Dataset()
    orientation.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = [orientation]
    with pytest.raises(NotReadable, match="rotated or mirrored"):
        read_segments(seg)
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    assert read_segments(seg)


def test_a_frame_of_an_undescribed_segment_is_refused():
    seg = segmentation({"mass": disc(SHAPE, 20, 15, 9)})
    seg.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 7
    with pytest.raises(NotReadable, match="segment 7"):
        read_segments(seg)


@pytest.mark.parametrize("damage", ["pixels", "frames", "kind", "rows"])
def test_a_damaged_segmentation_is_refused(damage: str):
    seg = segmentation({"mass": disc(SHAPE, 20, 15, 9)})
    match damage:
        case "pixels":
            seg.PixelData = seg.PixelData[: len(seg.PixelData) // 2]
        case "frames":
            seg.NumberOfFrames = 3
        case "kind":
            seg.SegmentationType = "SOMETHING"
        case "rows":
            seg.Rows = 65535
            seg.Columns = 65535
    with pytest.raises(NotReadable):
        read_segments(seg)


def test_files_that_are_no_segmentation_are_refused(tmp_path: Path):
    image = mammogram_header(SHAPE)
    image.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    with pytest.raises(NotReadable, match="no DICOM segmentation"):
        read_segments(tmp_path / "image.dcm")
    (tmp_path / "text.dcm").write_text("hello")
    with pytest.raises(NotReadable, match="not a DICOM file"):
        read_segments(tmp_path / "text.dcm")


def test_elements_after_the_pixel_data_are_not_read(tmp_path: Path):
    """pydicom would read these elements, and they may be nested deeper than any reader can follow."""
    path = tmp_path / "seg.dcm"
    segmentation({"mass": disc(SHAPE, 20, 15, 9)}).save_as(path)
    signatures = struct.pack("<HH2sHL", 0xFFFA, 0xFFFA, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    path.write_bytes(path.read_bytes() + signatures * 2000)
    (read,) = read_segments(path, SHAPE)
    assert np.array_equal(read.mask.full(SHAPE), disc(SHAPE, 20, 15, 9))


def test_a_file_gives_the_same_segments_as_its_data_set(tmp_path: Path):
    seg = segmentation({"mass": disc(SHAPE, 20, 15, 9)})
    seg.save_as(tmp_path / "seg.dcm")
    (read,) = read_segments(tmp_path / "seg.dcm", SHAPE)
    assert np.array_equal(read.mask.full(SHAPE), disc(SHAPE, 20, 15, 9))
    buffer = BytesIO((tmp_path / "seg.dcm").read_bytes())
    assert len(read_segments(dcmread(buffer))) == 1
