"""`mammo-node read`: from files to results, without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from clock import Clock
from pydicom import Dataset, dcmread
from pydicom.fileset import FileSet
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    generate_uid,
)
from readings import DEVICE
from reports import calibrated, some_exam
from road import changed
from simple_models import BUNDLE, OneMass, pipeline_of

from dicom_io.bounds import MOST_ITEMS
from models.types.mammogram import Mammogram
from models.types.reading import Detection
from node.demo.studies import DemoStudy
from node.folder.exam_json import exam_to_json
from node.folder.reading import FolderLimits, FolderReading, SkippedFile, StudyOutcome

pytestmark = pytest.mark.slow


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def read(folder: Path, scratch: Path, out: Path) -> tuple[list[StudyOutcome], list[SkippedFile]]:
    reading = FolderReading(BUNDLE, DEVICE, scratch, out, FolderLimits(), Clock())
    skipped = reading.take(sorted(folder.iterdir()), reads_secondary_capture=False)
    read: list[int] = []
    reading.read(pipeline_of(OneMass()), read.append)
    assert sum(read) == len(read)
    return reading.report(), skipped


def test_a_folders_study_gives_every_kind_of_result_overlays_and_a_reading(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    (outcome,), skipped = read(mammogram_study.folder, scratch, tmp_path / "out")
    assert skipped == []
    assert outcome.folder is not None
    written = sorted(path.name for path in outcome.folder.iterdir())
    overlays = ["1-L-CC.png", "2-L-MLO.png", "3-R-CC.png", "4-R-MLO.png"]
    of_images = [
        f"0{2 * number + place}-{kind}.dcm" for number in range(4) for place, kind in ((1, "SEG"), (2, "GSPS"))
    ]
    of_exam = ["09-CAD-SR.dcm", "10-SC.dcm", "11-KO.dcm", "12-SR.dcm"]
    assert written == sorted([*of_images, *of_exam, *overlays, "summary.png", "reading.json"])
    assert all(dcmread(path).StudyInstanceUID == outcome.study_instance_uid for path in outcome.folder.glob("*.dcm"))
    parsed = json.loads((outcome.folder / "reading.json").read_text())
    assert parsed["malignancy"] == 0.5
    assert [image["view"] for image in parsed["images"]] == ["CC", "MLO", "CC", "MLO"]
    assert "Research use only" in parsed["intended_use"]


def test_the_pixels_are_decoded_once_for_the_reading_and_its_overlay(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    """A file whose pixels are lost once they were decoded has all its results: they need no more than its header."""
    folder = tmp_path / "in"
    folder.mkdir()
    only = Path(shutil.copy(mammogram_study.files[0], folder))

    class Losing(OneMass):
        def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
            only.write_bytes(only.read_bytes()[:-100_000])
            return super().detect(images)

    reading = FolderReading(BUNDLE, DEVICE, scratch, tmp_path / "out", FolderLimits(), Clock())
    assert reading.take([only], reads_secondary_capture=False) == []
    reading.read(pipeline_of(Losing()), lambda count: None)
    (outcome,) = reading.report()
    assert outcome.folder is not None
    assert (outcome.folder / "1-R-CC.png").is_file()
    assert list((scratch / "overlays").iterdir()) == []


def test_in_reading_json_only_breasts_and_the_exam_have_a_range_of_categories() -> None:
    parsed: dict[str, Any] = dict(exam_to_json(calibrated(some_exam()), "1.2.3"))
    assert parsed["likelihood"] == {
        "probability": 0.031,
        "above_recall_threshold": True,
        "category_range": "> 2 to <= 10 %, the range of 4A",
    }
    assert [set(breast) for breast in parsed["breasts"]] == [{"laterality", "malignancy", "likelihood"}] * 2
    assert {str(entry["likelihood"]) for image in parsed["images"] for entry in (image, *image["findings"])} == {
        "{'probability': 0.031}",
        "{'probability': 0.31}",
    }
    assert "categor" not in json.dumps(parsed["images"])


def test_a_file_that_is_not_dicom_is_named_and_the_rest_is_read(
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
    assert {entry.path.name for entry in skipped} == {"notes.txt", "cut.dcm", "twice.dcm"}
    assert all(entry.reason for entry in skipped)
    assert {entry.path.name for entry in skipped if entry.on_purpose} == {"twice.dcm"}


def test_a_copy_a_dicomdir_and_a_raw_image_beside_its_processed_image_are_reported_as_skipped(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    first = folder / "first.dcm"
    shutil.copy(mammogram_study.files[0], first)
    shutil.copy(first, folder / "second.dcm")
    raw = changed(first, SOPClassUID=DigitalMammographyXRayImageStorageForProcessing, SOPInstanceUID=generate_uid())
    raw.PresentationIntentType = "FOR PROCESSING"
    raw.save_as(folder / "raw.dcm")
    listed = FileSet()
    listed.add(first)
    listed.write(tmp_path / "medium")
    shutil.copy(tmp_path / "medium" / "DICOMDIR", folder)
    long = dcmread(tmp_path / "medium" / "DICOMDIR")
    long.DirectoryRecordSequence = [Dataset() for _ in range(MOST_ITEMS + 1)]
    long.save_as(folder / "LONG")
    (outcome,), skipped = read(folder, scratch, tmp_path / "out")
    assert {entry.path.name: entry.on_purpose for entry in skipped} == {
        "DICOMDIR": True,
        "LONG": True,
        "second.dcm": True,
    }
    assert {entry.reason for entry in skipped if entry.path.name in ("DICOMDIR", "LONG")} == {
        "a DICOMDIR: a medium's list of files and no image; read or send the folder of those files"
    }
    assert [(entry.path.name, entry.on_purpose) for entry in outcome.unread] == [("raw.dcm", True)]
    assert not outcome.failed


def test_another_file_with_a_known_uid_does_not_count_as_a_copy(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(mammogram_study.files[0], folder / "a.dcm")
    changed(mammogram_study.files[0], ViewPosition="XCCL").save_as(folder / "b.dcm")
    _, (skipped,) = read(folder, scratch, tmp_path / "out")
    assert (skipped.path.name, skipped.on_purpose) == ("b.dcm", False)


def test_a_study_of_two_patients_gets_no_results_and_is_reported(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(mammogram_study.folder, folder)
    last = folder / mammogram_study.files[-1].relative_to(mammogram_study.folder)
    changed(last, PatientID="ANOTHER").save_as(last)
    (outcome,), _ = read(folder, scratch, tmp_path / "out")
    assert outcome.failed
    assert outcome.folder is None
    assert outcome.why.startswith("in quarantine: its instances disagree")


def test_a_study_whose_report_fails_is_reported_and_the_others_are_written(
    mammogram_studies: list[DemoStudy], scratch: Path, tmp_path: Path
) -> None:
    broken, sound = mammogram_studies
    folder = tmp_path / "in"
    folder.mkdir()
    for file in (*broken.files, *sound.files):
        shutil.copy(file, folder / f"{file.parent.name}-{file.name}")
    reading = FolderReading(BUNDLE, DEVICE, scratch, tmp_path / "out", FolderLimits(batch=8), Clock())
    reading.take(sorted(folder.iterdir()), reads_secondary_capture=False)

    def lose_a_header(_: int) -> None:
        (folder / f"{broken.files[0].parent.name}-{broken.files[0].name}").unlink()

    reading.read(pipeline_of(OneMass()), lose_a_header)
    outcomes = {outcome.study_instance_uid: outcome for outcome in reading.report()}
    assert outcomes[broken.study_instance_uid].failed
    assert outcomes[broken.study_instance_uid].why.startswith("its report could not be written")
    assert not outcomes[sound.study_instance_uid].failed
    assert outcomes[sound.study_instance_uid].folder is not None


def test_results_from_before_an_interruption_are_kept(
    mammogram_studies: list[DemoStudy], scratch: Path, tmp_path: Path
) -> None:
    files = [file for study in mammogram_studies for file in study.files]
    reading = FolderReading(BUNDLE, DEVICE, scratch, tmp_path / "out", FolderLimits(), Clock())
    reading.take(files, reads_secondary_capture=False)
    seen: list[int] = []

    def interrupt_at_the_sixth(count: int) -> None:
        seen.append(count)
        if len(seen) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reading.read(pipeline_of(OneMass()), interrupt_at_the_sixth)
    (written,) = (tmp_path / "out").iterdir()
    assert written.name == mammogram_studies[0].study_instance_uid
    assert (written / "reading.json").is_file()


def test_an_image_that_cannot_be_read_is_named_with_its_file(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    changed(mammogram_study.files[0], BitsAllocated=64).save_as(folder / "odd.dcm")
    (outcome,), _ = read(folder, scratch, tmp_path / "out")
    assert [entry.path.name for entry in outcome.unread] == ["odd.dcm"]
    assert outcome.folder is not None
    assert list(outcome.folder.glob("[0-9][0-9]-SR.dcm"))


def test_a_study_without_a_breast_gets_no_results_and_the_reason_is_reported(
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


def test_a_second_run_replaces_the_results_of_the_first(
    mammogram_study: DemoStudy, scratch: Path, tmp_path: Path
) -> None:
    read(mammogram_study.folder, scratch, tmp_path / "out")
    first, second = tmp_path / "one", tmp_path / "again"
    first.mkdir()
    second.mkdir()
    shutil.copy(mammogram_study.files[0], first)
    (outcome,), _ = read(first, second, tmp_path / "out")
    assert outcome.folder is not None
    assert sorted(path.name for path in outcome.folder.iterdir()) == [
        "01-SEG.dcm",
        "02-GSPS.dcm",
        "03-CAD-SR.dcm",
        "04-SC.dcm",
        "05-KO.dcm",
        "06-SR.dcm",
        "1-R-CC.png",
        "reading.json",
        "summary.png",
    ]


def test_results_in_the_folder_are_not_read_as_input(mammogram_study: DemoStudy, scratch: Path, tmp_path: Path) -> None:
    (first,), _ = read(mammogram_study.folder, scratch, tmp_path / "out")
    assert first.folder is not None
    again = tmp_path / "again"
    again.mkdir()
    outcomes, skipped = read(first.folder, again, tmp_path / "out-again")
    assert outcomes == []
    assert len(skipped) == len(list(first.folder.iterdir()))
    assert {entry.path.suffix for entry in skipped if entry.on_purpose} == {".dcm"}
