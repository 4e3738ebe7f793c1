"""A set of phantoms on disk: images, truth, and the data set read from them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clock import Clock
from phantoms import SMALL, WrittenPhantoms, write_phantoms
from pydicom import Dataset, dcmread
from readings import DEVICE
from simple_models import BUNDLE, OneMass, pipeline_of
from validators import dcentvfy, dciodvfy

from dicom_io.case_reader import CaseReader
from dicom_io.device import is_ours
from dicom_io.headers import describe
from dicom_io.instance_kinds import InstanceKind
from models.datasets.case import DatasetError, Pathology
from models.datasets.catalog import open_data
from models.datasets.phantom import read_phantoms
from models.phantom.exam import draw_exam
from models.types.mammogram import Laterality
from models.types.reading import FindingKind
from node.demo.phantoms import NotAPhantomFolder
from node.folder.reading import FolderLimits, FolderReading

pytestmark = pytest.mark.slow

READER = CaseReader()


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def headers(phantoms: WrittenPhantoms) -> list[Dataset]:
    paths = sorted((phantoms.folder / "studies").glob("*/*.dcm"))
    return [dcmread(path, stop_before_pixels=True) for path in paths]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_patient(
    phantom_set: WrittenPhantoms, tmp_path: Path
) -> None:
    once, longer = files(write_phantoms(tmp_path / "once", 1).folder), files(phantom_set.folder)
    assert len(once) >= 6
    assert once == {name: longer[name] for name in once}
    other = write_phantoms(tmp_path / "other", 1, replace(SMALL, seed=SMALL.seed + 1))
    header, other_header = headers(phantom_set)[0], headers(other)[0]
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert header[keyword].value != other_header[keyword].value


def test_images_and_truth_are_valid_dicom(phantom_set: WrittenPhantoms) -> None:
    study = next(truth for truth in phantom_set.truths if truth.birads != "1").patient
    paths = sorted(phantom_set.folder.glob(f"*/{study}/*.dcm"))
    assert any("SEG" in path.name for path in paths)
    for path in paths:
        assert dciodvfy(path) == [], path.name
    assert dcentvfy(paths) == []


def test_the_node_reads_phantoms_as_mammograms_and_not_as_its_own_results(phantom_set: WrittenPhantoms) -> None:
    for study in {header.StudyInstanceUID for header in headers(phantom_set)}:
        found = [describe(header) for header in headers(phantom_set) if header.StudyInstanceUID == study]
        assert {image.kind for image in found} == {InstanceKind.FOR_PRESENTATION}
        assert {(image.laterality, image.view) for image in found} == {
            (s, v) for s in Laterality for v in ("CC", "MLO")
        }
        assert all(not image.extent and not image.ours for image in found)
    truths = [dcmread(path) for path in phantom_set.folder.glob("truth/*/*.dcm")]
    assert truths
    assert not any(is_ours(truth) for truth in truths)


def test_a_phantom_study_is_read_by_the_read_command(phantom_set: WrittenPhantoms, tmp_path: Path) -> None:
    patient = phantom_set.truths[0].patient
    (tmp_path / "scratch").mkdir()
    reading = FolderReading(BUNDLE, DEVICE, tmp_path / "scratch", tmp_path / "out", FolderLimits(), Clock())
    images = sorted((phantom_set.folder / "studies" / patient).iterdir())
    assert reading.take(images, reads_secondary_capture=False) == []
    reading.read(pipeline_of(OneMass()), lambda _: None)
    (outcome,) = reading.report()
    assert not outcome.failed
    assert outcome.exam is not None
    assert {(image.laterality, image.view) for image in outcome.exam.images} == {
        (side, view) for side in Laterality for view in ("CC", "MLO")
    }


def test_every_identifier_in_a_phantom_shows_that_it_is_no_patient(phantom_set: WrittenPhantoms) -> None:
    for header in headers(phantom_set):
        assert str(header.PatientName).startswith("PHANTOM^")
        assert header.PatientID.startswith("PHANTOM-")
        assert "no patient" in header.ImageComments


def test_the_node_reads_pixels_spacing_and_side_as_they_were_made(phantom_set: WrittenPhantoms) -> None:
    truth = phantom_set.truths[0]
    exam = draw_exam(truth.number, truth.seed, truth.spacing_mm, SMALL.prevalence)
    for listed, made in zip(truth.images, exam.images, strict=True):
        image = READER.mammogram(phantom_set.folder / listed.file)
        assert (image.laterality, image.view, image.warnings) == (made.laterality, made.view, ())
        assert image.spacing_mm == (0.5, 0.5)
        np.testing.assert_allclose(image.pixels, made.pixels / 4095, atol=1e-3)


def test_the_segmentation_equals_the_mask_of_the_inserted_lesion(phantom_set: WrittenPhantoms) -> None:
    truth = next(truth for truth in phantom_set.truths if any(len(image.lesions) for image in truth.images))
    exam = draw_exam(truth.number, truth.seed, truth.spacing_mm, SMALL.prevalence)
    for listed, made in zip(truth.images, exam.images, strict=True):
        if listed.segmentation is None:
            assert made.lesions == ()
            continue
        segments = READER.segments(phantom_set.folder / listed.segmentation, made.pixels.shape)
        assert [label for label, _ in segments] == [lesion.label for lesion in listed.lesions]
        for (_, mask), lesion, in_truth in zip(segments, made.lesions, listed.lesions, strict=True):
            np.testing.assert_array_equal(mask.full(made.pixels.shape), lesion.mask.full(made.pixels.shape))
            assert (mask.box.top, mask.box.left, mask.box.bottom, mask.box.right) == in_truth.box
            assert mask.area_px == in_truth.area_px


def test_the_data_set_has_the_labels_of_the_truth_file(phantom_set: WrittenPhantoms) -> None:
    cases = open_data([phantom_set.spec], READER).cases
    assert len(cases) == 4 * len(phantom_set.truths)
    assert len({case.patient for case in cases}) == len(phantom_set.truths)
    seen = set()
    for case in cases:
        lesions = case.read_lesions(case.read())
        assert {lesion.kind for lesion in lesions} == case.kinds
        assert (case.pathology is Pathology.NORMAL) == (lesions == ())
        assert (case.pathology is Pathology.MALIGNANT) == (
            Pathology.MALIGNANT in {marked.pathology for marked in lesions}
        )
        assert case.birads == max(("1", *(lesion.birads or "" for lesion in lesions)))
        seen |= {(lesion.kind, lesion.pathology) for lesion in lesions}
    assert seen == {
        (kind.basic, pathology) for kind in FindingKind for pathology in (Pathology.BENIGN, Pathology.MALIGNANT)
    }


def test_an_interrupted_run_resumes_and_a_longer_one_keeps_the_existing_studies(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "set", 1)
    first = files(tmp_path / "set")
    interrupted = tmp_path / "set" / "truth" / f"PHANTOM-{SMALL.seed}-0001" / "truth.json"
    interrupted.unlink()
    write_phantoms(tmp_path / "set", 2)
    longer = files(tmp_path / "set")
    assert {name: longer[name] for name in first} == first
    assert len(headers(WrittenPhantoms(tmp_path / "set", ()))) == 8


@pytest.mark.parametrize("content", ["notes.txt", "phantoms.json"])
def test_a_folder_with_other_files_is_refused_and_left_unchanged(tmp_path: Path, content: str) -> None:
    (tmp_path / content).write_text("{}")
    with pytest.raises(NotAPhantomFolder, match="Give"):
        write_phantoms(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == [content]


@pytest.fixture
def damaged(phantom_set: WrittenPhantoms, tmp_path: Path) -> Path:
    """A study with a lesion, for tests to damage."""
    patient = next(truth.patient for truth in phantom_set.truths if truth.images[0].lesions)
    for part in ("studies", "truth"):
        shutil.copytree(phantom_set.folder / part / patient, tmp_path / part / patient)
    return tmp_path


def only(folder: Path, pattern: str) -> Path:
    return next(iter(sorted(folder.glob(pattern))))


def test_a_folder_without_phantoms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no phantoms.*--out of mammo-node phantom"):
        read_phantoms(tmp_path, READER)


@pytest.mark.parametrize("pattern", ["studies/*/RCC.dcm", "truth/*/RCC-SEG.dcm"])
def test_a_missing_file_is_named(damaged: Path, pattern: str) -> None:
    lost = only(damaged, pattern)
    lost.unlink()
    with pytest.raises(DatasetError, match=rf"{lost.name} is missing.*Make the phantoms again"):
        read_phantoms(damaged, READER)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda truth: truth[: len(truth) // 2], "JSON"),
        (lambda truth: truth.replace('"density"', '"thickness"'), "density"),
        (lambda truth: truth.replace('"file": "studies', '"file": "../studies'), "images.0.file"),
        (lambda truth: json.dumps(json.loads(truth) | {"breasts": []}), "images of the R breast but no entry"),
    ],
    ids=["cut short", "a field is missing", "a path out of the folder", "a breast is missing"],
)
def test_a_damaged_truth_file_is_reported_with_its_fault(damaged: Path, change, where: str) -> None:
    path = only(damaged, "truth/*/truth.json")
    path.write_text(change(path.read_text()))
    with pytest.raises(DatasetError, match=rf"truth.json.*{where}.*Make the phantoms again"):
        read_phantoms(damaged, READER)


def test_an_image_of_another_size_than_its_truth_is_refused(damaged: Path) -> None:
    path = only(damaged, "studies/*/RCC.dcm")
    image = dcmread(path)
    image.Rows -= 10
    image.PixelData = image.PixelData[: image.Rows * image.Columns * 2]
    image.save_as(path)
    case = next(case for case in read_phantoms(damaged, READER).cases if case.name.endswith("RCC"))
    with pytest.raises(DatasetError, match=r"RCC.dcm has 470 × 360 pixels, but its truth states 480 × 360"):
        case.read_lesions(case.read())


def test_a_segmentation_that_lacks_a_lesion_is_refused(damaged: Path) -> None:
    path = only(damaged, "truth/*/RCC-SEG.dcm")
    seg = dcmread(path)
    seg.SegmentSequence[0].SegmentLabel = "another"
    seg.save_as(path)
    case = next(case for case in read_phantoms(damaged, READER).cases if case.name.endswith("RCC"))
    with pytest.raises(DatasetError, match=r"RCC-SEG.dcm lacks the segment R CC"):
        case.read_lesions(case.read())
