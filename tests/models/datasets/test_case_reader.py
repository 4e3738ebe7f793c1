"""Data sets read DICOM files as the node does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import write_dicom
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from dicom_io.case_reader import CaseReader
from dicom_io.errors import NotReadable
from models.datasets.case import DatasetError
from models.datasets.dicom import CheckedReader
from models.types.region import Box

SHAPE = (40, 30)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.dcm"
    write_dicom(path, np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE))
    whole = dcmread(path)
    for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"):
        setattr(whole, keyword, "")
    whole.PatientID, whole.StudyID = "one", "1"
    whole.StudyInstanceUID, whole.SeriesInstanceUID = generate_uid(), generate_uid()
    whole.PatientOrientation = ["A", "F"]
    whole.save_as(path)
    return path


def segmentation(images: list[Dataset], planes: np.ndarray, kind: SegmentationTypeValues, path: Path) -> Path:
    """Writes a SEG from planes of frames × rows × columns × segments (or, for a label map, frames × rows × columns)."""
    count = int(planes.max()) if planes.ndim == 3 else planes.shape[-1]
    Segmentation(
        source_images=images,
        pixel_array=planes,
        segmentation_type=kind,
        segment_descriptions=[
            SegmentDescription(
                number, f"lesion {number}", codes.SCT.Tissue, codes.SCT.Mass, SegmentAlgorithmTypeValues.MANUAL
            )
            for number in range(1, count + 1)
        ],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    ).save_as(path)
    return path


def planes(count: int = 2) -> np.ndarray:
    drawn = np.zeros((1, *SHAPE, count), dtype=np.uint8)
    for number in range(count):
        drawn[0, 5 + number : 15 + number, 7:20, number] = 1
    return drawn


@pytest.mark.parametrize("kind", [SegmentationTypeValues.BINARY, SegmentationTypeValues.FRACTIONAL])
def test_segments_are_read_and_may_overlap(image: Path, tmp_path: Path, kind: SegmentationTypeValues) -> None:
    drawn = planes() if kind is SegmentationTypeValues.BINARY else planes() * 0.6
    path = segmentation([dcmread(image)], drawn, kind, tmp_path / "seg.dcm")
    found = CaseReader().segments(path, SHAPE)
    assert [label for label, _ in found] == ["lesion 1", "lesion 2"]
    assert [mask.box for _, mask in found] == [Box(5, 7, 15, 20), Box(6, 7, 16, 20)]


def test_a_fractional_segment_below_one_half_is_not_read(image: Path, tmp_path: Path) -> None:
    drawn = planes() * np.array([0.4, 0.6])
    path = segmentation([dcmread(image)], drawn, SegmentationTypeValues.FRACTIONAL, tmp_path / "seg.dcm")
    assert [label for label, _ in CaseReader().segments(path, SHAPE)] == ["lesion 2"]


def test_a_label_map_is_read_without_its_background(image: Path, tmp_path: Path) -> None:
    drawn = np.zeros((1, *SHAPE), dtype=np.uint8)
    drawn[0, 5:15, 7:20], drawn[0, 20:22, 3:9] = 1, 2
    path = segmentation([dcmread(image)], drawn, SegmentationTypeValues.LABELMAP, tmp_path / "seg.dcm")
    assert [mask.box for _, mask in CaseReader().segments(path, SHAPE)] == [Box(5, 7, 15, 20), Box(20, 3, 22, 9)]


def test_an_empty_segment_is_skipped_and_twelve_segments_are_read(image: Path, tmp_path: Path) -> None:
    drawn = planes(12)
    drawn[..., 3] = 0
    path = segmentation([dcmread(image)], drawn, SegmentationTypeValues.BINARY, tmp_path / "seg.dcm")
    labels = [label for label, _ in CaseReader().segments(path, SHAPE)]
    assert labels == [f"lesion {number}" for number in range(1, 13) if number != 4]


def test_a_segmentation_of_another_shape_is_refused(image: Path, tmp_path: Path) -> None:
    path = segmentation([dcmread(image)], planes(), SegmentationTypeValues.BINARY, tmp_path / "seg.dcm")
    with pytest.raises(NotReadable, match="40 × 30 pixels, its image 80 × 60"):
        CaseReader().segments(path, (80, 60))


def test_an_image_is_read_with_its_shape_and_stored_values(image: Path) -> None:
    reader = CaseReader()
    assert reader.shape(image) == reader.mammogram(image).shape == SHAPE
    assert reader.stored(image)[0, :3].tolist() == [0, 1, 2]


def test_every_error_names_its_file(image: Path, tmp_path: Path) -> None:
    reader = CheckedReader(CaseReader())
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM")
    missing = tmp_path / "missing.dcm"
    for read in (reader.mammogram, reader.shape, reader.stored, lambda path: reader.segments(path, SHAPE)):
        with pytest.raises(DatasetError, match=r"broken\.dcm cannot be used: The file is not a DICOM file"):
            read(broken)
        with pytest.raises(DatasetError, match=r"missing\.dcm cannot be opened: No such file"):
            read(missing)
    with pytest.raises(DatasetError, match=r"image\.dcm cannot be used: The file is no DICOM segmentation"):
        reader.segments(image, SHAPE)
