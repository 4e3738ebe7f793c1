"""`mammo-node export --deidentify`: what leaves the archive for research, and what does not."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from annotating import disc, segmentation
from assessing import finding, report_on
from keeping import DAY_S, purge, reported_and_delivered
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from road import Road, changed
from typer.testing import CliRunner
from validators import dcentvfy

from dicom_io.case_reader import CaseReader
from models.datasets.archive import read_archive
from models.types.birads import Category
from models.types.reading import FindingKind
from node.annotations.pseudonyms import open_pseudonyms
from node.cli.main import build
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.slow


def run(road: Road, *arguments: object) -> tuple[int, str]:
    config = road.data_dir.parent / "node.toml"
    config.write_text(f'data_dir = "{road.data_dir}"\n')
    ran = CliRunner().invoke(build(), [*map(str, arguments), "--config", str(config)])
    return ran.exit_code, ran.output + str(ran.exception or "")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def images(mammogram_study: DemoStudy) -> list[Dataset]:
    return [dcmread(path) for path in mammogram_study.files]


@pytest.fixture
def road(tmp_path: Path, mammogram_study: DemoStudy, images: list[Dataset]) -> Road:
    """A reported study whose first image an expert corrected, and of whose left breast a radiologist said 4B."""
    road = Road(tmp_path / "data")
    road.all_of_it(*mammogram_study.files)
    drawn = {"mass of Ms Zyx": disc((images[0].Rows, images[0].Columns), 60, 60, 15)}
    road.receive(segmentation(drawn, images[0]))
    road.receive(report_on(images[0], finding(Category.FOUR_B, codes.SCT.Left)))
    return road


def test_images_corrections_and_categories_leave_without_anybodys_identity(
    road: Road, images: list[Dataset], tmp_path: Path
) -> None:
    status, says = run(road, "export", "--deidentify", tmp_path / "out")
    assert status == 0, says
    assert "4 images, 1 segmentation, 1 category in" in says
    assert "Pixels are not cleaned" in says
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    for image in images:
        for uid in (image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID):
            assert uid.encode() not in written
        assert image.PatientID.encode() not in written
    assert b"Zyx" not in written
    assert b"Expert" not in written
    files = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not any(image.SOPInstanceUID in name for image in images for name in files)
    listed = rows(tmp_path / "out" / "images.csv")
    assert sorted((row["laterality"], row["view"]) for row in listed) == sorted(
        (image.ImageLaterality, image.ViewPosition) for image in images
    )
    assert [row["corrected"] for row in listed].count("True") == 1
    (category,) = rows(tmp_path / "out" / "birads.csv")
    assert (category["laterality"], category["category"]) == ("L", "4B")
    assert (category["patient"], category["exam"]) == (listed[0]["patient"], listed[0]["exam"])
    assert dcentvfy(sorted((tmp_path / "out").rglob("*.dcm"))) == []


def test_the_export_is_a_data_set_for_training_with_the_experts_outlines(
    road: Road, images: list[Dataset], tmp_path: Path
) -> None:
    run(road, "export", "--deidentify", tmp_path / "out")
    (case,) = read_archive(tmp_path / "out", CaseReader()).cases
    image = case.read()
    (lesion,) = case.read_lesions(image)
    assert lesion.kind is FindingKind.MASS
    assert np.array_equal(lesion.mask.full(image.shape), disc(image.shape, 60, 60, 15))
    run(road, "annotations", "export", "--out", tmp_path / "identified")
    same = [json.loads((tmp_path / out / "archive.json").read_text())["images"][0] for out in ("out", "identified")]
    assert same[0]["patient"] == same[1]["patient"], "one mechanism: a patient has one pseudonym"
    assert same[0]["name"] == same[1]["name"]


def test_uids_are_the_same_in_every_export_and_need_the_key(road: Road, images: list[Dataset], tmp_path: Path) -> None:
    for out in ("first", "second"):
        run(road, "export", "--deidentify", tmp_path / out)
    first, second = (sorted(path.name for path in (tmp_path / out / "images").iterdir()) for out in ("first", "second"))
    assert first == second
    pseudonyms = open_pseudonyms(road.data_dir)
    assert {dcmread(path).SOPInstanceUID for path in (tmp_path / "first" / "images").iterdir()} == {
        pseudonyms.uid(image.SOPInstanceUID) for image in images
    }
    (road.data_dir / "pseudonyms.key").unlink()
    assert open_pseudonyms(road.data_dir).uid("1.2.3") != pseudonyms.uid("1.2.3")


def test_a_file_that_cannot_be_cleaned_is_named_by_number_and_the_others_leave(
    road: Road, images: list[Dataset], tmp_path: Path
) -> None:
    first, second, third, _ = (road.data_dir / instance.path for instance in road.instances()[:4])
    first.write_bytes(first.read_bytes()[:3000])
    stays = dcmread(second)
    stays.AcquisitionDeviceProcessingCode = f"for {stays.PatientID}"
    stays.save_as(second)
    third.unlink()
    status, says = run(road, "export", "--deidentify", tmp_path / "out")
    assert status == 1
    assert "NOT CLEANED, left out: study 1, image 1: " in says
    assert "NOT CLEANED, left out: study 1, image 2: AcquisitionDeviceProcessingCode still holds" in says
    assert "NOT CLEANED, left out: study 1, image 3: Its file is not in the data folder." in says
    assert "1 image, 0 segmentations" in says
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1
    assert not any(image.SOPInstanceUID in says or image.PatientID in says for image in images)


def test_what_may_show_a_name_or_is_not_finished_stays_and_is_no_failure(
    road: Road, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    burnt = changed(mammogram_study.files[1])
    burnt.BurnedInAnnotation = "YES"
    file = road.data_dir / road.instances()[1].path
    burnt.save_as(file)
    road.receive(changed(mammogram_study.files[0], StudyInstanceUID="1.2.3.4", SOPInstanceUID="1.2.3.4.5"))
    status, says = run(road, "export", "--deidentify", tmp_path / "out")
    assert status == 0, says
    assert "left out: study 1, image 2: its header says that annotations are burnt in" in says
    assert "left out: study 2: it is open" in says
    assert "3 images" in says


def test_images_that_retention_deleted_are_left_out_and_no_failure(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    *first, late = mammogram_study.files
    road = Road(tmp_path / "data")
    reported_and_delivered(road, *first)
    road.clock.seconds += 31 * DAY_S
    purge(road, images_days=30)
    road.all_of_it(late)
    status, says = run(road, "export", "--deidentify", tmp_path / "out")
    assert status == 0, says
    assert says.count("it was purged on") == 3
    assert len(rows(tmp_path / "out" / "images.csv")) == 1


def test_studies_are_chosen_by_number_time_and_correction(
    road: Road, mammogram_studies: list[DemoStudy], tmp_path: Path
) -> None:
    road.all_of_it(*mammogram_studies[0].files)
    for chosen, count in (
        (("--study", "2"), "4 images"),
        (("--study", "1", "--study", "2"), "8 images"),
        (("--corrected",), "4 images, 1 segmentation"),
        (("--until", "1970-01-01"), "0 images"),
        ((), "8 images"),
    ):
        out = tmp_path / "-".join(("out", *chosen))
        status, says = run(road, "export", "--deidentify", out, *chosen)
        assert (status, count in says) == (0, True), (chosen, says)


def test_a_folder_that_is_not_empty_is_refused(road: Road, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.dcm").touch()
    status, says = run(road, "export", "--deidentify", tmp_path / "out")
    assert status != 0
    assert "is not empty" in says
