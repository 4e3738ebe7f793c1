"""Films that were resized to squares get their own shape and their scanner's spacing back, with their masses."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.datasets.case import DatasetError, LeftOut, Pathology, Side
from models.datasets.catalog import open_data
from models.datasets.cbis_ddsm_masses import read_cbis_ddsm_masses
from models.types.birads import Category
from models.types.mammogram import Laterality
from models.types.reading import FindingKind
from models.types.region import Box

ROW = {
    "file": "images/00001_LEFT_CC.jpg",
    "patient": "P_00001",
    "side": "LEFT",
    "view": "CC",
    "lesion": "1",
    "x": "200.0",
    "y": "400.0",
    "w": "80.0",
    "h": "40.0",
    "pathology": "MALIGNANT",
    "birads": "5",
    "density": "2",
    "subtlety": "4",
    "shape": "OVAL",
    "margins": "SPICULATED",
    "width_est": "3000",
    "height_est": "6000",
    "consistency": "0.004",
    "ddsm_case": "case1906/B_1906_1.LEFT_CC",
}


def written(folder: Path, *changes: dict[str, str]) -> Path:
    """A set with one row per change; in every picture the mass of the first row is bright."""
    (folder / "images").mkdir()
    rows = [{**ROW, **change} for change in changes]
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ROW)
        table.writeheader()
        table.writerows(rows)
    squashed = np.full((800, 800), 60, dtype=np.uint8)
    squashed[400:440, 200:280] = 220
    for row in rows:
        cv2.imwrite(str(folder / row["file"]), squashed)
    return folder


def test_a_film_has_its_own_shape_and_its_scanners_spacing(tmp_path: Path) -> None:
    (case,) = read_cbis_ddsm_masses(written(tmp_path, {})).cases
    image = case.read()
    assert image.shape == (1600, 800)
    assert image.film
    assert image.spacing_mm == pytest.approx((0.050 * 3000 / 800,) * 2)
    assert (image.laterality, image.view) == (Laterality.LEFT, "CC")
    assert case.hospital == "B"
    assert image.pixels.min() >= 0
    assert image.pixels.max() <= 1


def test_the_box_of_a_mass_lies_on_it_and_has_the_labels_of_the_table(tmp_path: Path) -> None:
    (case,) = read_cbis_ddsm_masses(written(tmp_path, {})).cases
    image = case.read()
    (lesion,) = case.read_lesions(image)
    assert lesion.mask.box == Box(800, 200, 880, 280)
    assert image.pixels[lesion.mask.box.slices].mean() > 0.8 > 2 * image.pixels[:780].mean()
    assert not lesion.outlined
    assert (lesion.kind, lesion.pathology, lesion.birads) == (FindingKind.MASS, Pathology.MALIGNANT, Category.FIVE)
    assert lesion.subtype == "oval, spiculated"
    assert (case.pathology, case.birads, case.density, case.official) == (Pathology.MALIGNANT, "5", "B", Side.TRAIN)


def test_two_masses_of_a_film_are_a_single_case_with_the_worse_pathology(tmp_path: Path) -> None:
    other = {"lesion": "2", "y": "100", "pathology": "BENIGN_WITHOUT_CALLBACK", "birads": "2"}
    (case,) = read_cbis_ddsm_masses(written(tmp_path, {}, other)).cases
    assert [lesion.pathology for lesion in case.read_lesions(case.read())] == [Pathology.MALIGNANT, Pathology.BENIGN]
    assert (case.pathology, case.birads) == (Pathology.MALIGNANT, "5")


@pytest.mark.parametrize(("letter", "mm"), [("A", 0.0435), ("B", 0.050), ("C", 0.050), ("D", 0.0435), ("", 0.0435)])
def test_the_scanner_follows_from_the_hospital(tmp_path: Path, letter: str, mm: float) -> None:
    (case,) = read_cbis_ddsm_masses(written(tmp_path, {"ddsm_case": f"case1/{letter}_1_1.LEFT_CC"})).cases
    assert case.read().spacing_mm == pytest.approx((mm * 3000 / 800,) * 2)


def test_a_box_outside_its_film_is_named_and_its_film_no_longer_counts_as_marked_up(tmp_path: Path) -> None:
    found = read_cbis_ddsm_masses(written(tmp_path, {}, {"lesion": "2", "x": "900"}))
    assert found.left_out == (LeftOut("00001_LEFT_CC_2", "its box lies outside its film"),)
    assert [case.marked_up for case in found.cases] == [False]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width_est": "wide"}, "width_est 'wide', which is no number"),
        ({"pathology": "UNSURE"}, "'UNSURE', which is none of MALIGNANT"),
    ],
)
def test_a_damaged_table_is_reported_with_its_row(tmp_path: Path, change: dict[str, str], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read_cbis_ddsm_masses(written(tmp_path, change))


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path, {})
    (folder / ROW["file"]).unlink()
    with pytest.raises(DatasetError, match=r"00001_LEFT_CC\.jpg is missing, and .*labels\.csv names it"):
        read_cbis_ddsm_masses(folder)


def test_a_patient_has_the_same_name_as_in_the_whole_of_cbis_ddsm(tmp_path: Path) -> None:
    """So that a patient in both sets is never in training and test."""
    (case,) = open_data([f"cbis-ddsm-masses:{written(tmp_path, {})}"], None).cases
    assert case.patients == ("cbis-ddsm/P_00001",)
