"""CDD-CESM as The Cancer Imaging Archive publishes it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np
import pytest

from dicom_io.case_reader import CaseReader
from models.datasets.case import Case, Cases, DatasetError, LeftOut, Pathology
from models.datasets.catalog import open_data
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

COLUMNS = (
    "Image_name",
    "Patient_ID",
    "Side",
    "Type",
    "Age",
    "Breast density (ACR)",
    "BIRADS",
    "Findings",
    "View",
    "Tags",
    "Machine",
    "Pathology Classification/ Follow up",
)
ROWS = (
    ("P1_L_DM_CC", 1, "L", "DM", 46, "C", "4$2", "High density mass", "CC", "mass", 1, "Malignant"),
    ("P1_L_CM_CC", 1, "L", "CESM", 46, "C", "4", "Mass & enhancement", "CC", "mass", 1, "Malignant"),
    ("P2_R_DM_MLO", 2, "R", "DM", 50, "_", "2", "Cluster of microcalcifications", "MLO", "", 1, "Benign"),
    ("P3_R_DM_MLO", 3, "R", "DM", 50, "B", "1", "Normal", "MLO", "", 1, "Normal"),
    ("P4_R_DM_CC", 4, "R", "DM", 50, "B", "3", "Mass", "CC", "", 1, "Benign"),
    ("P5_R_DM_CC", 5, "R", "DM", 50, "B", "3", "Mass", "CC", "", 1, "Benign"),
)


def workbook(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """A workbook as Excel writes it: the table is not the first sheet, texts are shared strings, empty cells absent."""
    texts = sorted({cell for row in rows for cell in row if isinstance(cell, str)})

    def cell(place: str, value: object) -> str:
        if isinstance(value, str):
            return f'<c r="{place}" t="s"><v>{texts.index(value)}</v></c>' if value else ""
        return f'<c r="{place}"><v>{value}</v></c>'

    sheet = "".join(
        f'<row r="{line}">'
        + "".join(cell(f"{'ABCDEFGHIJKL'[n]}{line}", value) for n, value in enumerate(row))
        + "</row>"
        for line, row in enumerate(rows, start=1)
    )
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    relations = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    with zipfile.ZipFile(path, "w") as book:
        sheets = '<sheet name="ages" sheetId="1" r:id="rId1"/><sheet name="all" sheetId="2" r:id="rId2"/>'
        book.writestr("xl/workbook.xml", f"<workbook {main} {relations}><sheets>{sheets}</sheets></workbook>")
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="rId1" Target="worksheets/sheet1.xml"/>'
            '<Relationship Id="rId2" Target="worksheets/sheet2.xml"/></Relationships>',
        )
        shared = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
        book.writestr("xl/sharedStrings.xml", f"<sst {main}>{shared}</sst>")
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet {main}><sheetData/></worksheet>")
        book.writestr("xl/worksheets/sheet2.xml", f"<worksheet {main}><sheetData>{sheet}</sheetData></worksheet>")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "cesm"
    images = root / "Low energy images of CDD-CESM"
    images.mkdir(parents=True)
    y, x = np.mgrid[:320, :200]
    breast = np.where(((y - 160) / 147) ** 2 + (x / 170) ** 2 < 1, 80 + (x + y) % 30, 2).astype(np.uint8)
    for row in ROWS[:-1]:
        cv2.imwrite(str(images / f"{row[0]}.jpg"), breast)
    workbook(root / "Radiology-manual-annotations.xlsx", (COLUMNS, *ROWS))
    square = {"name": "polygon", "all_points_x": [40, 80, 80, 40], "all_points_y": [100, 100, 150, 150]}
    ellipse = {"name": "ellipse", "cx": 60, "cy": 200, "rx": 20, "ry": 10, "theta": 0.0}
    circle = {"name": "circle", "cx": 60, "cy": 200, "r": 15}
    point = {"name": "point", "cx": 60, "cy": 200}
    drawn = (("P1_L_DM_CC", square), ("P1_L_DM_CC", ellipse), ("P1_L_CM_CC", square), ("P2_R_DM_MLO", circle))
    with (root / "Radiology_hand_drawn_segmentations_v2.csv").open("w") as file:
        file.write(
            "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
        )
        for name, shape in (*drawn, ("P2_R_DM_MLO", point)):
            words = json.dumps(shape).replace('"', '""')
            file.write(f'{name}.jpg,1,"{{}}",1,0,"{words}","{{}}"\n')
    return root


def opened(folder: Path) -> Cases:
    return open_data([f"cdd-cesm:{folder}"], CaseReader())


def case(folder: Path, name: str) -> Case:
    return next(image for image in opened(folder).cases if image.name == name)


def test_low_energy_images_have_the_labels_of_the_workbook(archive: Path) -> None:
    assert [image.name for image in opened(archive).cases] == ["P1_L_DM_CC", "P2_R_DM_MLO", "P3_R_DM_MLO", "P4_R_DM_CC"]
    image = case(archive, "P1_L_DM_CC")
    assert (image.patients, image.laterality, image.view) == (("cdd-cesm/1",), Laterality.LEFT, "CC")
    assert (image.pathology, image.birads, image.density) == (Pathology.MALIGNANT, "4", "C")
    assert case(archive, "P2_R_DM_MLO").density is None
    assert image.label_is_fair


def test_polygons_ellipses_and_circles_are_outlines_and_points_are_not(archive: Path) -> None:
    image = case(archive, "P1_L_DM_CC")
    polygon, ellipse = (lesion.mask for lesion in image.read_lesions(image.read()))
    assert (polygon.box.top, polygon.box.left, polygon.box.bottom, polygon.box.right) == (100, 40, 151, 81)
    assert (ellipse.box.height, ellipse.box.width) == (21, 41)
    two = case(archive, "P2_R_DM_MLO")
    (circle,) = two.read_lesions(two.read())
    assert circle.kind is FindingKind.CALCIFICATION
    assert circle.mask.area_px == pytest.approx(np.pi * 15**2, rel=0.1)


def test_a_normal_breast_is_marked_up_and_a_benign_breast_without_regions_is_not(archive: Path) -> None:
    assert case(archive, "P3_R_DM_MLO").marked_up
    assert not case(archive, "P4_R_DM_CC").marked_up
    assert opened(archive).left_out == (
        LeftOut("P5_R_DM_CC", "the image is not in the folder"),
        LeftOut("P4_R_DM_CC for detection", "no region is drawn, but it may show a lesion"),
    )


def test_the_table_may_be_saved_as_csv(archive: Path) -> None:
    (archive / "Radiology-manual-annotations.xlsx").unlink()
    lines = [",".join(f'"{cell}"' for cell in row) for row in (COLUMNS, *ROWS)]
    (archive / "Radiology-manual-annotations.csv").write_text("\n".join(lines))
    assert len(opened(archive).cases) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((COLUMNS[:-1], *ROWS), "has no column Pathology Classification"),
        ((COLUMNS, (*ROWS[0][:-1], "Unsure")), "gives P1_L_DM_CC the pathology 'Unsure'"),
    ],
)
def test_a_damaged_table_is_named(archive: Path, rows: Sequence[Sequence[object]], message: str) -> None:
    workbook(archive / "Radiology-manual-annotations.xlsx", rows)
    with pytest.raises(DatasetError, match=message):
        opened(archive)


def test_a_damaged_workbook_and_damaged_regions_are_named(archive: Path) -> None:
    regions = archive / "Radiology_hand_drawn_segmentations_v2.csv"
    regions.write_text(regions.read_text().replace('""polygon""', "polygon"))
    with pytest.raises(DatasetError, match=r"v2\.csv, line 2: the region's shape is not JSON"):
        opened(archive)
    (archive / "Radiology-manual-annotations.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(DatasetError, match="is not an Excel workbook"):
        opened(archive)
