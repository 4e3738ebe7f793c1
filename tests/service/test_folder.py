"""`mammo-node read`: from files to results, without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ComputedRadiographyImageStorage
from road import BUNDLE, Clock, OneMass, changed, pipeline_of

from node.demo.studies import DemoStudy
from node.folder import FolderLimits, FolderReading, SkippedFile, StudyOutcome


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def read(folder: Path, scratch: Path, out: Path) -> tuple[list[StudyOutcome], list[SkippedFile]]:
    reading = FolderReading(BUNDLE, scratch, out, FolderLimits(), Clock())
    skipped = reading.take(sorted(folder.iterdir()), reads_secondary_capture=False)
    read = []
    reading.read(pipeline_of(OneMass()), read.append)
    assert sum(read) == len(read)
    return reading.report(), skipped


def test_a_folders_study_gives_seg_sr_overlays_and_a_reading(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    (outcome,), skipped = read(mammogram_study.folder, scratch, tmp_path / "out")
    assert skipped == []
    assert outcome.folder is not None
    written = sorted(path.name for path in outcome.folder.iterdir())
    overlays = ["1-L-CC.png", "2-L-MLO.png", "3-R-CC.png", "4-R-MLO.png"]
    assert written == sorted(
        [*(f"0{number}-SEG.dcm" for number in range(1, 5)), "05-SR.dcm", *overlays, "reading.json"]
    )
    assert all(dcmread(path).StudyInstanceUID == outcome.study_instance_uid for path in outcome.folder.glob("*.dcm"))
    told = json.loads((outcome.folder / "reading.json").read_text())
    assert told["malignancy"] == 0.5
    assert [image["view"] for image in told["images"]] == ["CC", "MLO", "CC", "MLO"]
    assert "Research use only" in told["intended_use"]


def test_what_is_no_dicom_file_is_named_and_the_rest_goes_on(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(mammogram_study.folder, folder)
    (folder / "notes.txt").write_text("not an image")
    (folder / "cut.dcm").write_bytes(mammogram_study.files[0].read_bytes()[:-1000])
    shutil.copy(mammogram_study.files[0], folder / "twice.dcm")
    (outcome,), skipped = read(folder, scratch, tmp_path / "out")
    assert outcome.exam is not None
    assert len(outcome.exam.images) == 4
    assert {one.path.name for one in skipped} == {"notes.txt", "cut.dcm", "twice.dcm"}
    assert all(one.reason for one in skipped)


def test_an_image_that_cannot_be_read_is_named_with_its_file(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    changed(mammogram_study.files[0], BitsAllocated=64).save_as(folder / "odd.dcm")
    (outcome,), _ = read(folder, scratch, tmp_path / "out")
    assert [one.path.name for one in outcome.unread] == ["odd.dcm"]
    assert outcome.folder is not None
    assert list(outcome.folder.glob("*SR.dcm"))


def test_a_study_without_a_breast_writes_nothing_and_says_why(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    chest = changed(
        mammogram_study.files[0], SOPClassUID=ComputedRadiographyImageStorage, Modality="CR", BodyPartExamined="CHEST"
    )
    chest.save_as(folder / "chest.dcm")
    (outcome,), _ = read(folder, scratch, tmp_path / "out")
    assert outcome.folder is None
    assert "no breast image" in outcome.why
    assert not (tmp_path / "out").exists()


def test_results_in_the_folder_are_not_read_as_input(mammogram_study: DemoStudy, scratch: Path, tmp_path: Path) -> None:
    (first,), _ = read(mammogram_study.folder, scratch, tmp_path / "out")
    assert first.folder is not None
    again = tmp_path / "again"
    again.mkdir()
    outcomes, skipped = read(first.folder, again, tmp_path / "out-again")
    assert outcomes == []
    assert len(skipped) == len(list(first.folder.iterdir()))
