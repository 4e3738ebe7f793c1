"""Small copies of the public data sets, laid out as they are published."""

from __future__ import annotations

import csv
import plistlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import write_dicom
from numpy.typing import NDArray

SHAPE = (240, 160)


def disc(row: int, column: int, radius: int, shape: tuple[int, int] = SHAPE) -> NDArray[np.uint8]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.where((y - row) ** 2 + (x - column) ** 2 <= radius**2, 255, 0).astype(np.uint8)


def table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]], delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(rows)


@pytest.fixture
def cbis(tmp_path: Path) -> Path:
    """Four patients. 1: a malignant mass, its mask first and its crop second. 2: two benign masses in one image; the
    crop comes before the mask, in series with descriptive names. 3: a calcification and, on a film of another part, a
    mass in the same view. 4: a calcification whose mask does not have the image's size."""
    root = tmp_path / "CBIS-DDSM"
    root.mkdir()
    uid = "1.3.6.1.4.1.9590.100.1.2.1"
    mass: tuple[list[Any], list[Any]] = ([], [])
    calc: tuple[list[Any], list[Any]] = ([], [])

    def image(name: str, below: str = f"{uid}/{uid}5") -> None:
        write_dicom(root / "CBIS-DDSM" / name / below / "1-1.dcm", np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 4000)

    def roi(name: str, mask: NDArray[np.uint8], mask_first: bool, below: str = f"{uid}/{uid}6") -> None:
        crop = np.arange(50 * 40).reshape(50, 40)
        for number, pixels in enumerate((mask, crop) if mask_first else (crop, mask), start=1):
            write_dicom(root / "CBIS-DDSM" / name / below / f"1-{number}.dcm", pixels)

    image("Mass-Training_P_00001_LEFT_CC")
    roi("Mass-Training_P_00001_LEFT_CC_1", disc(100, 60, 20), mask_first=True)
    mass[0].append(("P_00001", 3, "LEFT", "CC", 1, "mass", "IRREGULAR", "SPICULATED", 5, "MALIGNANT", 4))
    image("Mass-Training_P_00002_RIGHT_MLO", "07-20-2016-DDSM-1/1-full mammogram images-2")
    roi("Mass-Training_P_00002_RIGHT_MLO_1", disc(50, 60, 10), False, "07-20-2016-DDSM-2/1-ROI mask images-3")
    roi("Mass-Training_P_00002_RIGHT_MLO_2", disc(150, 60, 12), False, "07-20-2016-DDSM-4/1-cropped images-5")
    mass[0].append(("P_00002", 2, "RIGHT", "MLO", 1, "mass", "OVAL", "CIRCUMSCRIBED", 2, "BENIGN_WITHOUT_CALLBACK", 4))
    mass[0].append(("P_00002", 2, "RIGHT", "MLO", 2, "mass", "ROUND", "N/A", 3, "BENIGN", 4))
    image("Calc-Training_P_00003_LEFT_CC")
    roi("Calc-Training_P_00003_LEFT_CC_1", disc(80, 40, 15), mask_first=True)
    calc[0].append(("P_00003", 4, "LEFT", "CC", 1, "calcification", "PLEOMORPHIC", "CLUSTERED", 4, "MALIGNANT", 3))
    image("Mass-Test_P_00003_LEFT_CC")
    roi("Mass-Test_P_00003_LEFT_CC_1", disc(180, 40, 15), mask_first=True)
    mass[1].append(("P_00003", 4, "LEFT", "CC", 1, "mass", "OVAL", "OBSCURED", 3, "BENIGN", 3))
    image("Calc-Test_P_00004_RIGHT_CC")
    roi("Calc-Test_P_00004_RIGHT_CC_1", disc(120, 80, 20)[::2, ::2].copy(), mask_first=False)
    calc[1].append(("P_00004", 1, "RIGHT", "CC", 1, "calcification", "PUNCTATE", "N/A", 0, "BENIGN", 3))

    paths = ("image file path", "cropped image file path", "ROI mask file path")
    common = ("left or right breast", "image view", "abnormality id", "abnormality type")
    for side, masses, calcifications in zip(("train", "test"), mass, calc, strict=True):
        # The paths in the published tables do not match the downloads: the reader must not use them.
        wrong = ("nowhere/000000.dcm", "nowhere/000001.dcm\n", "nowhere/000000.dcm\n")
        shape = ("mass shape", "mass margins", "assessment", "pathology", "subtlety")
        table(
            root / f"mass_case_description_{side}_set.csv",
            ("patient_id", "breast_density", *common, *shape, *paths),
            [(*row, *wrong) for row in masses],
        )
        kind = ("calc type", "calc distribution", "assessment", "pathology", "subtlety")
        table(
            root / f"calc_case_description_{side}_set.csv",
            ("patient_id", "breast density", *common, *kind, *paths),
            [(*row, *wrong) for row in calcifications],
        )
    return root


@pytest.fixture
def inbreast(tmp_path: Path) -> Path:
    """Four images of two patients: a mass with spicules; calcifications, grouped and single; a normal breast; a breast
    with BI-RADS 2 and nothing drawn."""
    root = tmp_path / "INbreast"
    (root / "AllXML").mkdir(parents=True)
    rows = []
    for number, patient, side, view, density, birads in (
        (20586908, "6c613a14b80a8591", "R", "CC", 2, "4a"),
        (20586934, "6c613a14b80a8591", "L", "MLO", 2, "5"),
        (20586960, "0a1b2c3d4e5f6071", "R", "MLO", 4, "1"),
        (20586986, "0a1b2c3d4e5f6071", "L", "CC", 4, "2"),
    ):
        pixels = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 4000
        write_dicom(root / "AllDICOMs" / f"{number}_{patient}_MG_{side}_{view}_ANON.dcm", pixels)
        rows.append(("removed", "removed", side, view, "201001", number, density, f" {birads}"))
    columns = ("Patient ID", "Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
    table(root / "INbreast.csv", columns, [*rows, ("", "", "", "", "", "total", "", "")], delimiter=";")
    square = [(40, 60), (80, 60), (80, 100), (40, 100)]
    around = [(30, 50), (90, 50), (90, 110), (30, 110)]
    regions(root, 20586908, [("Mass", square), ("Espiculated Region", around)])
    grouped = [("Calcification", [(60 + 10 * n, 120)]) for n in range(6)]
    regions(
        root, 20586934, [*grouped, ("Calcification", [(20, 10)]), ("Cluster", [(100, 180), (140, 180), (120, 220)])]
    )
    return root


def regions(root: Path, number: int, drawn: Sequence[tuple[str, Sequence[tuple[int, int]]]]) -> None:
    rois = [
        {"Name": name, "NumberOfPoints": len(points), "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points]}
        for name, points in drawn
    ]
    images = {"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]}
    (root / "AllXML" / f"{number}.xml").write_bytes(plistlib.dumps(images))


@pytest.fixture
def vindr(tmp_path: Path) -> Path:
    """Two studies: one with a mass, and a box that extends beyond the image; one with a normal and a benign breast."""
    root = tmp_path / "vindr-mammo"
    images, findings = [], []
    for study, image, side, view, birads, density, split in (
        ("s1", "i1", "L", "CC", 4, "C", "training"),
        ("s1", "i2", "R", "MLO", 5, "C", "training"),
        ("s2", "i3", "L", "CC", 1, "B", "test"),
        ("s2", "i4", "R", "CC", 2, "B", "test"),
    ):
        pixels = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 4000
        write_dicom(root / "images" / study / f"{image}.dicom", pixels)
        common = (study, f"series-{image}", image, side, view, *SHAPE, f"BI-RADS {birads}", f"DENSITY {density}")
        images.append((*common, split))
        found_in: dict[str, list[Any]] = {
            "i1": [("['Mass']", "BI-RADS 4", (20.4, 30.2, 80, 90))],
            "i2": [
                ("['Suspicious Calcification', 'Focal Asymmetry']", "BI-RADS 5", (-5.5, 100, 60, 300)),
                ("['Skin Thickening']", "BI-RADS 3", (0, 0, 20, 20)),
            ],
        }
        for categories, found, box in found_in.get(image, [("['No Finding']", "", ("", "", "", ""))]):
            findings.append((*common, categories, found, *box, split))
    common_columns = ("study_id", "series_id", "image_id", "laterality", "view_position", "height", "width")
    breast = ("breast_birads", "breast_density")
    table(root / "breast-level_annotations.csv", (*common_columns, *breast, "split"), images)
    columns = (
        *common_columns,
        *breast,
        "finding_categories",
        "finding_birads",
        "xmin",
        "ymin",
        "xmax",
        "ymax",
        "split",
    )
    table(root / "finding_annotations.csv", columns, findings)
    return root
