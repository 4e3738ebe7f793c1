"""The output and exit status of `read`, without models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from models.errors import UserError


def write(path: Path, number: int, **attributes: object) -> Path:
    """A file of study 1.2.3: a report, unless the attributes say otherwise."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = ComprehensiveSRStorage
    dataset.SOPInstanceUID = f"1.2.3.{number}"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.0"
    dataset.PatientID = "ONE"
    dataset.update(attributes)
    path.parent.mkdir(exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_a_copy_is_reported_and_does_not_fail_the_command(tmp_path, command):
    shutil.copy(write(tmp_path / "in" / "report.dcm", 1), tmp_path / "in" / "twice.dcm")
    ran = command("read", tmp_path / "in", "--out", tmp_path / "out", "--json")
    printed = json.loads(ran.stdout)
    assert list(printed["skipped"]) == [str(tmp_path / "in" / "twice.dcm")]
    assert "a copy of" in next(iter(printed["skipped"].values()))
    assert ran.exit_code == 0


def test_a_file_that_is_not_dicom_fails_the_command(tmp_path, command):
    write(tmp_path / "in" / "report.dcm", 1)
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    ran = command("read", tmp_path / "in", "--out", tmp_path / "out")
    assert "notes.txt: The file is not a DICOM file." in ran.stdout
    assert ran.exit_code == 1


def test_the_folder_that_results_go_to_is_not_read_where_it_lies_in_the_folder_that_is_read(tmp_path, command):
    write(tmp_path / "in" / "report.dcm", 1)
    out = tmp_path / "in" / "out"
    for _ in range(2):
        ran = command("read", tmp_path / "in", "--out", out)
        assert ran.exit_code == 0, ran.stdout
        assert "skipped" not in ran.stdout
    assert (out / "installation-id").exists()
    ran = command("read", tmp_path / "in", "--out", tmp_path / "in")
    assert "installation-id" not in ran.stdout.replace("out/installation-id", "")


def test_a_folder_of_pictures_says_what_pictures_are_for(tmp_path, command):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "breast.PNG").write_bytes(b"\x89PNG")
    ran = command("read", tmp_path / "in", "--out", tmp_path / "out")
    assert "there is no DICOM study in it. Pictures" in str(ran.exception)
    assert "evaluate --data csv:" in str(ran.exception)


def test_a_study_in_quarantine_fails_the_command_with_the_reason(tmp_path, command):
    for number, patient in enumerate(("ONE", "TWO"), start=1):
        write(tmp_path / "in" / f"{number}.dcm", number, PatientID=patient)
    ran = command("read", tmp_path / "in", "--out", tmp_path / "out")
    assert "nothing written: in quarantine: its instances disagree" in ran.stdout
    assert ran.exit_code == 1


def test_an_image_that_shows_no_breast_is_named(tmp_path, command):
    chest = {"SOPClassUID": ComputedRadiographyImageStorage, "Rows": 1, "Columns": 1, "PixelData": b"\0\0"}
    write(tmp_path / "in" / "chest.dcm", 1, **chest, BitsAllocated=16, BodyPartExamined="CHEST")
    ran = command("read", tmp_path / "in", "--out", tmp_path / "out")
    assert "chest.dcm: an image, but no mammogram" in ran.stdout
    assert ran.exit_code == 1


def test_a_folder_that_cannot_be_written_is_reported_before_anything_is_read(tmp_path, command):
    write(tmp_path / "in" / "report.dcm", 1)
    (tmp_path / "file").write_text("in the way")
    ran = command("read", tmp_path / "in", "--out", tmp_path / "file" / "out")
    assert isinstance(ran.exception, UserError)
    assert "nothing can be written there" in str(ran.exception)
