"""VinDr-Mammo as PhysioNet publishes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import write_dicom

from dicom_io.case_reader import CaseReader
from models.datasets.case import Cases, DatasetError, Side
from models.datasets.catalog import open_data
from models.types.mammogram import Laterality
from models.types.reading import FindingKind
from models.types.region import Box


def opened(folder: Path) -> Cases:
    return open_data([f"vindr-mammo:{folder}"], CaseReader())


def test_boxes_are_lesions_without_an_outline(vindr: Path) -> None:
    first, second, normal, benign = opened(vindr).cases
    assert first.patients == ("vindr-mammo/s1",)
    assert (first.laterality, first.view, first.birads, first.density) == (Laterality.LEFT, "CC", "4", "C")
    assert first.pathology is None
    assert (first.official, normal.official) == (Side.TRAIN, Side.TEST)
    (mass,) = first.read_lesions(first.read())
    assert (mass.kind, mass.outlined, mass.birads) == (FindingKind.MASS, False, "4")
    assert mass.mask.box == Box(30, 20, 90, 80)
    (calcification,) = second.read_lesions(second.read())
    assert calcification.kind is FindingKind.CALCIFICATION
    assert calcification.mask.box == Box(100, 0, 240, 60)
    assert calcification.subtype == "suspicious calcification, focal asymmetry"
    assert [image.marked_up for image in (first, second, normal, benign)] == [True, True, True, False]


def test_a_box_called_a_mass_and_calcifications_is_a_mass_with_calcifications(vindr: Path) -> None:
    table = vindr / "finding_annotations.csv"
    table.write_text(table.read_text().replace("['Mass']", "\"['Mass', 'Suspicious Calcification']\""))
    first = opened(vindr).cases[0]
    assert [lesion.kind for lesion in first.read_lesions(first.read())] == [FindingKind.MASS_WITH_CALCIFICATIONS]


def test_every_unusable_item_is_reported_with_its_reason(vindr: Path) -> None:
    (vindr / "images" / "s2" / "i3.dicom").unlink()
    table = vindr / "finding_annotations.csv"
    table.write_text(
        table.read_text().replace("['Mass']", "['Global Asymmetry']").replace("-5.5,100,60", "900,100,960")
    )
    found = opened(vindr)
    assert sorted((item.name, item.reason) for item in found.left_out) == [
        ("i1, Global Asymmetry", "it is not a lesion with an outline"),
        ("i2, Suspicious Calcification, Focal Asymmetry", "its box lies outside the image"),
        ("i3", "the image is not in the folder"),
    ]
    assert [image.marked_up for image in found.cases] == [False, False, False]


def test_an_image_whose_size_differs_from_its_boxes_image_is_left_out_and_both_sizes_named(vindr: Path) -> None:
    for study, image in (("s1", "i1"), ("s2", "i4")):
        write_dicom(vindr / "images" / study / f"{image}.dicom", np.arange(120 * 80).reshape(120, 80))
    found = opened(vindr)
    assert [item.name for item in found.left_out] == ["i1"]
    assert "has 120 × 80 pixels, and its boxes are drawn on 240 × 160: fetch" in found.left_out[0].reason
    assert [image.name for image in found.cases] == ["i2", "i3", "i4"], (
        "where nothing is drawn the size does not matter"
    )


def test_a_damaged_table_is_named_with_its_line(vindr: Path) -> None:
    table = vindr / "finding_annotations.csv"
    table.write_text(table.read_text().replace("['Mass']", "__import__('os')"))
    with pytest.raises(DatasetError, match=r"finding_annotations\.csv, line 2: finding_categories is no list"):
        opened(vindr)
    table.unlink()
    with pytest.raises(DatasetError, match=r"finding_annotations\.csv is missing"):
        opened(vindr)
