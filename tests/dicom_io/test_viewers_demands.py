"""What viewers require of the objects, each requirement with its viewer and the effect if it is not met."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from known_lesions import KnownExam, known_exam
from numpy.typing import NDArray
from pydicom import Dataset
from road import Road

from dicom_io.results.encoding import lesion_name
from models.types.exam import ExamReading
from models.types.reading import FindingKind
from node.reporting.exams import exam_of
from node.store.tables import Study

SHAPE = (501, 399)
KINDS = {FindingKind.MASS: "129788004", FindingKind.CALCIFICATION: "129769006"}


@pytest.fixture(scope="module")
def known() -> KnownExam:
    return known_exam(SHAPE)


@pytest.fixture(scope="module")
def road(known: KnownExam, tmp_path_factory: pytest.TempPathFactory) -> Road:
    road = Road(tmp_path_factory.mktemp("viewers"), known.seen(), profile="all")
    road.all_of_it(*known.images)
    return road


@pytest.fixture(scope="module")
def exam(road: Road) -> ExamReading:
    with road.sessions.begin() as session:
        return exam_of(session, session.get_one(Study, 1), road.data_dir)


@pytest.fixture(scope="module")
def segs(road: Road) -> list[Dataset]:
    return road.results("SEG")


@pytest.fixture(scope="module")
def report(road: Road) -> Dataset:
    (report,) = road.results("SR")
    return report


def test_each_segmentation_has_its_own_series_because_ohif_shows_one_per_series(segs: list[Dataset]) -> None:
    assert len(segs) == 4
    assert len({seg.SeriesInstanceUID for seg in segs}) == 4
    assert len({seg.SeriesDescription for seg in segs}) == 4, "told apart in the list"


def test_segmentations_are_binary_because_ohif_shows_no_other_type(segs: list[Dataset]) -> None:
    """OHIF shifts names and colours of label maps by one and does not show fractional segmentations."""
    assert {(seg.SegmentationType, seg.BitsAllocated) for seg in segs} == {("BINARY", 1)}


def test_a_segmentation_states_the_image_size_that_cornerstone_needs(segs: list[Dataset]) -> None:
    assert {(seg.Rows, seg.Columns) for seg in segs} == {SHAPE}


def test_a_segmentation_refers_to_series_and_frame_so_that_ohif_finds_the_image(
    segs: list[Dataset], known: KnownExam
) -> None:
    series = known.images[0].SeriesInstanceUID
    images = {image.SOPInstanceUID for image in known.images}
    for seg in segs:
        (referenced,) = seg.ReferencedSeriesSequence
        (instance,) = referenced.ReferencedInstanceSequence
        assert referenced.SeriesInstanceUID == series
        for frame in seg.PerFrameFunctionalGroupsSequence:
            source = frame.DerivationImageSequence[0].SourceImageSequence[0]
            assert source.ReferencedSOPInstanceUID == instance.ReferencedSOPInstanceUID
        images.remove(instance.ReferencedSOPInstanceUID)
    assert images == set()


def test_a_segmentation_has_its_own_plane_because_ohif_shows_nothing_without_one(
    segs: list[Dataset], known: KnownExam
) -> None:
    spacing = known.images[0].ImagerPixelSpacing
    for seg in segs:
        shared = seg.SharedFunctionalGroupsSequence[0]
        assert shared.PixelMeasuresSequence[0].PixelSpacing == spacing
        assert "SliceThickness" in shared.PixelMeasuresSequence[0]
        assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
        assert all("PlanePositionSequence" in frame for frame in seg.PerFrameFunctionalGroupsSequence)
    frames = {seg.FrameOfReferenceUID for seg in segs}
    assert len(frames) == 4, "nobody takes one mammogram's plane for another's"
    assert not frames & {image.get("FrameOfReferenceUID") for image in known.images}


def test_each_frame_states_its_segment_in_its_functional_groups_for_weasis(segs: list[Dataset]) -> None:
    for seg in segs:
        assert "SegmentIdentificationSequence" not in seg.SharedFunctionalGroupsSequence[0]
        numbers = [
            frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            for frame in seg.PerFrameFunctionalGroupsSequence
        ]
        assert numbers == [segment.SegmentNumber for segment in seg.SegmentSequence]


def test_each_drawn_group_has_exactly_one_region_as_ohif_requires(report: Dataset) -> None:
    groups = list(_groups(report))
    assert len(groups) == 6, "lesions; what has no place in an image stands elsewhere"
    for group in groups:
        assert len([item for item in group.ContentSequence if item.ValueType == "SCOORD"]) == 1


def test_each_lesion_of_a_view_has_its_own_tracking_uid_because_ohif_merges_equal_ones(
    report: Dataset, segs: list[Dataset], exam: ExamReading
) -> None:
    tracked = [_tracking_uid(group) for group in _groups(report)]
    lesions = {
        lesion_name(image, number).uid for image in exam.images for number in range(1, len(image.reading.findings) + 1)
    }
    assert len(set(tracked)) == len(tracked)
    assert {segment.TrackingUID for seg in segs for segment in seg.SegmentSequence} == lesions <= set(tracked)


def test_the_first_group_is_a_lesion_because_ohif_opens_a_report_there(report: Dataset, segs: list[Dataset]) -> None:
    assert _tracking_uid(next(_groups(report))) in {
        segment.TrackingUID for seg in segs for segment in seg.SegmentSequence
    }


def test_each_report_has_its_own_series_because_viewers_show_one_per_series(road: Road) -> None:
    assert len({result.SeriesInstanceUID for result in (*road.results("SR"), *road.results("CAD-SR"))}) == 2


def test_a_presentation_state_names_the_single_image_that_workstations_apply_it_to(
    road: Road, known: KnownExam
) -> None:
    named = [
        instance.ReferencedSOPInstanceUID
        for state in road.results("GSPS")
        for series in state.ReferencedSeriesSequence
        for instance in series.ReferencedImageSequence
    ]
    assert sorted(named) == sorted(image.SOPInstanceUID for image in known.images)


def test_a_segmentation_without_geometry_has_no_plane(known: KnownExam, tmp_path: Path) -> None:
    """A projection has no plane: a workstation that registers images by it would place it wrongly."""
    for profile in ("workstation-cad-sr", "overlay-only"):
        road = Road(tmp_path / profile, known.seen(), profile=profile)
        road.all_of_it(*known.images)
        assert road.results()
        assert not [result.SOPClassUID for result in road.results() if "FrameOfReferenceUID" in result]


def test_dcmqi_reads_the_findings_of_the_node_from_the_report(
    report: Dataset, exam: ExamReading, tmp_path: Path
) -> None:
    tool = shutil.which("tid1500reader") or shutil.which("tid1500reader", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("tid1500reader is not installed (PyPI: dcmqi)")
    report.save_as(tmp_path / "report.dcm")
    command = [tool, "--inputDICOM", tmp_path / "report.dcm", "--outputMetadata", tmp_path / "report.json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    measurements = json.loads((tmp_path / "report.json").read_text())["Measurements"]
    groups = {group["TrackingUniqueIdentifier"]: group for group in measurements}
    assert len(groups) == 6, "the lesions"
    for image in exam.images:
        for number, finding in enumerate(image.reading.findings, start=1):
            group = groups[lesion_name(image, number).uid]
            assert group["TrackingIdentifier"] == lesion_name(image, number).identifier
            assert group["Finding"]["CodeValue"] == KINDS[finding.kind]
            values = {item["quantity"]["CodeValue"]: float(item["value"]) for item in group["measurementItems"]}
            assert values == {"SCORE": pytest.approx(finding.malignancy, abs=0.006)}, "nothing is calibrated"


def test_dcmqi_reads_the_pixels_of_each_lesion_as_3d_slicer_does(segs: list[Dataset], tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("segimage2itkimage")
    if not tool.is_file():
        pytest.skip("segimage2itkimage is not installed (PyPI: dcmqi)")
    for number, seg in enumerate(segs):
        folder = tmp_path / str(number)
        folder.mkdir()
        seg.save_as(folder / "seg.dcm", enforce_file_format=True)
        command = [tool, "--inputDICOM", folder / "seg.dcm", "--outputDirectory", folder, "--outputType", "nrrd"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
        read = [_nrrd(file) for file in sorted(folder.glob("*.nrrd"), key=lambda file: int(file.stem.split("-")[-1]))]
        assert len(read) == len(seg.SegmentSequence)
        for frame, pixels in zip(frames, read, strict=True):
            assert np.array_equal(pixels > 0, frame > 0)


def _nrrd(path: Path) -> NDArray[np.int16]:
    """The one slice of a gzipped NRRD file: rows × columns."""
    header, _, data = path.read_bytes().partition(b"\n\n")
    stated = dict(line.split(": ", 1) for line in header.decode().splitlines() if ": " in line)
    columns, rows, slices = map(int, stated["sizes"].split())
    assert slices == 1
    raw = gzip.decompress(data) if stated["encoding"].startswith("gz") else data
    kinds = {"short": "<i2", "int16": "<i2", "unsigned char": "u1", "uint8": "u1", "unsigned short": "<u2"}
    return np.frombuffer(raw, dtype=kinds[stated["type"]]).reshape(rows, columns)


def _groups(report: Dataset) -> Iterator[Dataset]:
    """The measurement groups (125007), in their order."""
    for item in report.ContentSequence:
        if item.ConceptNameCodeSequence and item.ConceptNameCodeSequence[0].CodeValue == "126010":
            yield from (
                entry for entry in item.ContentSequence if entry.ConceptNameCodeSequence[0].CodeValue == "125007"
            )


def _tracking_uid(group: Dataset) -> str:
    (uid,) = [str(item.UID) for item in group.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "112040"]
    return uid
