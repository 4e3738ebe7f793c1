"""CBIS-DDSM as TCIA publishes it, with its known defects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import write_dicom

from dicom_io.case_reader import CaseReader
from models.datasets.case import Case, Cases, DatasetError, Lesion, Pathology, Side
from models.datasets.catalog import open_data
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

MASKED = "Mass-Training_P_00001_LEFT_CC"
TWO = "Mass-Training_P_00002_RIGHT_MLO"
SHAPE = (240, 160)
ODD = "Calc-Test_P_00004_RIGHT_CC"


def opened(folder: Path) -> Cases:
    return open_data([f"cbis-ddsm:{folder}"], CaseReader())


def case(folder: Path, name: str) -> Case:
    return next(image for image in opened(folder).cases if image.name == name)


def lesions(image: Case) -> tuple[Lesion, ...]:
    return image.read_lesions(image.read())


def test_an_image_has_the_labels_of_its_tables(cbis: Path) -> None:
    image = case(cbis, MASKED)
    assert (image.dataset, image.patients, image.laterality, image.view) == (
        "cbis-ddsm",
        ("cbis-ddsm/P_00001",),
        Laterality.LEFT,
        "CC",
    )
    assert (image.pathology, image.birads, image.density, image.official) == (Pathology.MALIGNANT, "5", "C", Side.TRAIN)
    assert image.marked_up
    assert (image.read().laterality, image.read().view) == (Laterality.LEFT, "CC")
    (lesion,) = lesions(image)
    assert (lesion.kind, lesion.pathology, lesion.birads) == (FindingKind.MASS, Pathology.MALIGNANT, "5")
    assert lesion.subtype == "irregular, spiculated"
    assert lesion.outlined
    assert (lesion.mask.box.top, lesion.mask.box.left, lesion.mask.box.height) == (80, 40, 41)


def test_the_mask_is_found_for_every_file_name_and_order(cbis: Path) -> None:
    first, second = lesions(case(cbis, TWO))
    assert (first.mask.box.height, second.mask.box.height) == (21, 25)
    assert (first.pathology, second.subtype) == (Pathology.BENIGN, "round")


def test_a_mask_of_another_size_is_resized_to_its_image_and_reported(cbis: Path) -> None:
    assert any(ODD in sentence and "stretched" in sentence for sentence in opened(cbis).mended)
    (lesion,) = lesions(case(cbis, ODD))
    assert lesion.mask.box.height == pytest.approx(41, abs=2)
    assert lesion.mask.box.top == pytest.approx(100, abs=2)


def test_a_film_in_both_parts_is_one_test_case_with_the_lesions_of_both(cbis: Path) -> None:
    found = opened(cbis)
    assert len(found.cases) == 4
    (both,) = [image for image in found.cases if image.patients == ("cbis-ddsm/P_00003",)]
    assert both.official is Side.TEST
    assert both.pathology is Pathology.MALIGNANT
    assert {lesion.kind for lesion in lesions(both)} == {FindingKind.MASS, FindingKind.CALCIFICATION} == both.kinds


def test_a_mass_in_which_calcifications_were_drawn_is_a_mass_with_calcifications(cbis: Path) -> None:
    mask = np.zeros((240, 160), dtype=np.uint8)
    mask[60:140, 10:90] = 255
    write_dicom(next((cbis / "CBIS-DDSM" / "Mass-Test_P_00003_LEFT_CC_1").rglob("1-1.dcm")), mask)
    (both,) = [image for image in opened(cbis).cases if image.patients == ("cbis-ddsm/P_00003",)]
    kinds = {lesion.kind for lesion in lesions(both)}
    assert kinds == {FindingKind.MASS_WITH_CALCIFICATIONS, FindingKind.CALCIFICATION}


def test_two_films_of_the_same_view_are_not_marked_up(cbis: Path) -> None:
    other = next((cbis / "CBIS-DDSM" / "Mass-Test_P_00003_LEFT_CC").rglob("*.dcm"))
    write_dicom(other, np.arange(300 * 200).reshape(300, 200))
    write_dicom(
        next((cbis / "CBIS-DDSM" / "Mass-Test_P_00003_LEFT_CC_1").rglob("1-1.dcm")), np.eye(300, 200, dtype=np.uint8)
    )
    films = [image for image in opened(cbis).cases if image.patients == ("cbis-ddsm/P_00003",)]
    assert [film.marked_up for film in films] == [False, False]


def test_a_missing_mask_is_reported_and_its_image_is_not_marked_up(cbis: Path) -> None:
    for path in (cbis / "CBIS-DDSM" / f"{MASKED}_1").rglob("*.dcm"):
        path.unlink()
    found = opened(cbis)
    assert [(item.name, item.reason) for item in found.left_out] == [(f"{MASKED}_1", "its mask is not in the folder")]
    assert not case(cbis, MASKED).marked_up
    assert lesions(case(cbis, MASKED)) == ()


def test_a_crop_without_a_mask_is_not_used_as_a_mask(cbis: Path) -> None:
    next((cbis / "CBIS-DDSM" / f"{MASKED}_1").rglob("1-1.dcm")).unlink()
    assert "none of its files is a mask" in opened(cbis).left_out[0].reason


@pytest.mark.parametrize("pixels", [np.zeros(SHAPE, np.uint8), np.arange(240 * 160).reshape(SHAPE) % 4000])
def test_an_empty_mask_or_a_film_in_its_place_is_reported_and_its_image_is_not_marked_up(
    cbis: Path, pixels: np.ndarray
) -> None:
    write_dicom(next((cbis / "CBIS-DDSM" / f"{MASKED}_1").rglob("1-1.dcm")), pixels)
    found = opened(cbis)
    assert [item.name for item in found.left_out] == [f"{MASKED}_1"]
    assert "none of its files is a mask" in found.left_out[0].reason
    assert not case(cbis, MASKED).marked_up
    assert lesions(case(cbis, MASKED)) == ()


def test_a_missing_image_is_reported(cbis: Path) -> None:
    next((cbis / "CBIS-DDSM" / MASKED).rglob("*.dcm")).unlink()
    found = opened(cbis)
    assert (MASKED, "it is not in the folder") in [(item.name, item.reason) for item in found.left_out]
    assert len(found.cases) == 3


def test_without_a_table_no_image_is_marked_up_and_the_missing_table_is_reported(cbis: Path) -> None:
    assert all(image.marked_up for image in opened(cbis).cases)
    for table in cbis.glob("calc_*.csv"):
        table.unlink()
    found = opened(cbis)
    assert [item.name for item in found.left_out] == [
        f"calc_case_description_{side}_set.csv" for side in ("train", "test")
    ]
    assert "without it no image counts as marked up" in found.left_out[0].reason
    assert len(found.cases) == 3
    assert not any(image.marked_up for image in found.cases)


def test_a_film_whose_copy_in_the_other_part_is_missing_is_not_marked_up(cbis: Path) -> None:
    next((cbis / "CBIS-DDSM" / "Calc-Training_P_00003_LEFT_CC").rglob("*.dcm")).unlink()
    marked_up = {image.name: image.marked_up for image in opened(cbis).cases}
    assert marked_up == {MASKED: True, TWO: True, ODD: True, "Mass-Test_P_00003_LEFT_CC": False}


def test_a_folder_without_tables_or_images_is_refused(cbis: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DatasetError, match="holds none of mass_case_description_train_set"):
        opened(empty)
    for table in cbis.glob("*.csv"):
        (empty / table.name).write_bytes(table.read_bytes())
    with pytest.raises(DatasetError, match="No image of cbis-ddsm can be used"):
        opened(empty)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("pathology", "verdict", r"mass_case_description_train_set\.csv has no column pathology"),
        ("MALIGNANT", "PERHAPS", "the pathology 'PERHAPS', which is none of MALIGNANT"),
    ],
)
def test_a_damaged_table_is_named(cbis: Path, before: str, after: str, message: str) -> None:
    table = cbis / "mass_case_description_train_set.csv"
    table.write_text(table.read_text().replace(before, after))
    with pytest.raises(DatasetError, match=message):
        opened(cbis)


def test_a_file_that_is_not_dicom_is_named(cbis: Path) -> None:
    next((cbis / "CBIS-DDSM" / f"{MASKED}_1").rglob("1-1.dcm")).write_bytes(b"no DICOM")
    with pytest.raises(DatasetError, match=r"1-1\.dcm cannot be used: The file is not a DICOM file"):
        opened(cbis)


@pytest.mark.parametrize(
    ("ddsm_case", "mm"),
    [
        ("case1906/A_1906_1.RIGHT_CC", 0.0435),  # DBA or Howtek
        ("case3482/B_3482_1.RIGHT_MLO", 0.05),  # Lumisys
        ("case1/C_0001_1.LEFT_CC", 0.05),
        ("case2/D_4002_1.LEFT_CC", 0.0435),  # Howtek
        ("", 0.0435),
    ],
)
def test_a_films_spacing_is_that_of_its_scanner_and_its_hospital_is_known(
    cbis: Path, ddsm_case: str, mm: float
) -> None:
    for table in cbis.glob("*.csv"):
        header, *rows = table.read_text().splitlines()
        table.write_text("\n".join([f"{header},ddsm_case", *(f"{row},{ddsm_case}" for row in rows)]))
    film = case(cbis, MASKED)
    image = film.read()
    assert image.film
    assert film.hospital == ddsm_case.rpartition("/")[2][:1]
    assert image.spacing_mm == (mm, mm)
    assert image.spacing_by
