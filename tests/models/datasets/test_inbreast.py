"""INbreast as it is published."""

from __future__ import annotations

import plistlib
from pathlib import Path

import pytest

from dicom_io.case_reader import CaseReader
from models.datasets.case import Case, Cases, DatasetError
from models.datasets.catalog import open_data
from models.types.mammogram import Laterality
from models.types.reading import FindingKind


def opened(folder: Path) -> Cases:
    return open_data([f"inbreast:{folder}"], CaseReader())


def case(folder: Path, name: str) -> Case:
    return next(image for image in opened(folder).cases if image.name == name)


def test_an_image_has_the_labels_of_the_table(inbreast: Path) -> None:
    found = opened(inbreast)
    assert len(found.cases) == 4
    image = case(inbreast, "20586908")
    assert image.patients == ("inbreast/6c613a14b80a8591",)
    assert (image.laterality, image.view, image.birads, image.density) == (Laterality.RIGHT, "CC", "4A", "B")
    assert image.pathology is None
    assert image.official is None


def test_a_mass_is_a_lesion_and_its_spicules_are_part_of_it(inbreast: Path) -> None:
    image = case(inbreast, "20586908")
    (lesion,) = image.read_lesions(image.read())
    assert (lesion.kind, lesion.subtype, lesion.outlined) == (FindingKind.MASS, "mass", True)
    assert (lesion.mask.box.top, lesion.mask.box.left) == (60, 40)
    assert image.marked_up


def test_calcifications_are_a_lesion_if_they_are_grouped(inbreast: Path) -> None:
    image = case(inbreast, "20586934")
    cluster, group = image.read_lesions(image.read())
    assert (cluster.outlined, group.outlined) == (True, False)
    assert cluster.kind is group.kind is FindingKind.CALCIFICATION
    assert (group.mask.box.left, group.mask.box.right) == (55, 116)


def test_a_mass_in_which_a_cluster_was_drawn_is_a_mass_with_calcifications(inbreast: Path) -> None:
    path = inbreast / "AllXML" / "20586934.xml"
    drawn = plistlib.loads(path.read_bytes())
    corners = [f"({x}, {y})" for x, y in ((50, 100), (130, 100), (130, 140), (50, 140))]
    drawn["Images"][0]["ROIs"].append({"Name": "Mass", "Point_px": corners})
    path.write_bytes(plistlib.dumps(drawn))
    image = case(inbreast, "20586934")
    assert [(lesion.kind, lesion.subtype) for lesion in image.read_lesions(image.read())] == [
        (FindingKind.MASS_WITH_CALCIFICATIONS, "mass"),
        (FindingKind.CALCIFICATION, "cluster"),
        (FindingKind.CALCIFICATION, "grouped calcifications"),
    ]


def test_an_image_without_regions_is_marked_up_only_if_the_breast_is_normal(inbreast: Path) -> None:
    assert case(inbreast, "20586960").marked_up
    assert not case(inbreast, "20586986").marked_up


def test_an_image_with_a_region_of_unknown_kind_is_not_marked_up(inbreast: Path) -> None:
    path = inbreast / "AllXML" / "20586908.xml"
    path.write_text(path.read_text().replace("Espiculated Region", "Unnamed"))
    assert [item.name for item in opened(inbreast).left_out] == ["20586908, region Unnamed"]
    assert not case(inbreast, "20586908").marked_up


def test_a_missing_image_is_reported(inbreast: Path) -> None:
    next((inbreast / "AllDICOMs").glob("20586960*")).unlink()
    assert [item.name for item in opened(inbreast).left_out] == ["20586960"]


@pytest.mark.parametrize(
    "content",
    [
        b"not XML",
        b'<?xml version="1.0"?><plist version="1.0"><dict/></plist>',
        b'<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "b">]><plist version="1.0"><string>&a;</string></plist>',
    ],
)
def test_a_damaged_file_of_regions_is_named(inbreast: Path, content: bytes) -> None:
    (inbreast / "AllXML" / "20586908.xml").write_bytes(content)
    with pytest.raises(DatasetError, match=r"20586908\.xml holds no regions"):
        opened(inbreast)


def test_a_region_outside_the_image_is_named(inbreast: Path) -> None:
    path = inbreast / "AllXML" / "20586908.xml"
    path.write_text(path.read_text().replace("(40.", "(4000.").replace("(80.", "(8000."))
    image = case(inbreast, "20586908")
    with pytest.raises(DatasetError, match="lies outside the image"):
        image.read_lesions(image.read())
