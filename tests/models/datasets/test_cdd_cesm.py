"""CDD-CESM is read as documented, and everything that is left out is named with its reason."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.datasets.case import DatasetError, LeftOut, Pathology
from models.datasets.cdd_cesm import read_cdd_cesm
from models.datasets.cdd_cesm_regions import kind_of, lesion_regions
from models.datasets.pictures import parts_of, read_drawn
from models.types.reading import FindingKind
from models.types.region import Mask

ROWS, COLUMNS = 400, 300
CALCIFIED = FindingKind.MASS_WITH_CALCIFICATIONS


@pytest.mark.parametrize(
    ("findings", "kind"),
    [
        ("High density mass with microlobulated margin", FindingKind.MASS),
        ("High density mass with speculated margin and overlying microcalcification", CALCIFIED),
        (
            "High density mass with speculated margin and overlying microcalcification$Benign macrocalcificaion",
            CALCIFIED,
        ),
        ("High density ulcerating mass with overlying mircocalcifications and edema pattern", CALCIFIED),
        ("Equal density mass with speculated margin with adjacent cluster of microcalcifications", FindingKind.MASS),
        ("High density mass and surrounding nodules, one with overlying microcalcifications", FindingKind.MASS),
        ("Two high density masses and architectural distortion with overlying microcalcifications", FindingKind.MASS),
        ("High density mass with overlying calcifications$Equal density mass", FindingKind.MASS),
        ("IMLN", FindingKind.MASS),
        ("Focal asymmetrical increased density", FindingKind.MASS),
        ("Architectural distortion$Benign macrocalcification", FindingKind.MASS),
        ("Clusters of pleomorphic microcalcification", FindingKind.CALCIFICATION),
        ("Postoperative scar$ cluster of microcalcifications", FindingKind.CALCIFICATION),
        ("Asymmetrical increased density with overlying microcalcifications", FindingKind.CALCIFICATION),
        ("Pop corn macrocalcification", FindingKind.CALCIFICATION),
        ("Benign macrocalcification", FindingKind.CALCIFICATION),
        ("Diffuse edematous changes$Vascular calcifications", None),
        ("Diffuse edematous changes", None),
        ("Normal", None),
    ],
)
def test_the_text_of_the_findings_distinguishes_masses_from_calcifications(
    findings: str, kind: FindingKind | None
) -> None:
    assert kind_of(findings) is kind


def test_every_image_is_listed_once_and_its_smaller_copy_is_left_out_by_name(cesm_template: Path) -> None:
    found = read_cdd_cesm(cesm_template)
    assert len(found.cases) == 8 + 4 + 5
    assert [item.name for item in found.left_out] == ["P1_L_DM_CC"]
    by_name = {case.name: case for case in found.cases}
    assert by_name["IM0001"].pathology is Pathology.MALIGNANT
    assert by_name["IM0021"].patients == ("9", "10")
    assert by_name["IM0021"].marked_up
    assert by_name["P7_L_DM_MLO"].kinds == {FindingKind.CALCIFICATION}


def test_an_image_belongs_to_an_exam_if_its_patient_is_known(cesm_template: Path) -> None:
    by_name = {case.name: case for case in read_cdd_cesm(cesm_template).cases}
    assert (by_name["IM0001"].exam, by_name["P1_L_DM_MLO"].exam, by_name["IM0021"].exam) == ("1", "1", None)


def test_malignancy_is_evaluated_only_on_native_images(cesm_template: Path) -> None:
    """View and size reveal the label of the other images: all are malignant."""
    cases = read_cdd_cesm(cesm_template).cases
    assert all(case.label_is_fair == case.name.startswith("IM") for case in cases)


def test_an_image_and_its_lesions_are_read(cesm_template: Path) -> None:
    case = next(case for case in read_cdd_cesm(cesm_template).cases if case.name == "IM0001")
    image = case.read()
    assert (image.shape, image.view, image.spacing_mm) == ((320, 200), "CC", None)
    (lesion,) = case.read_lesions(image)
    assert (lesion.kind, lesion.outlined, lesion.pathology) == (FindingKind.MASS, True, Pathology.MALIGNANT)
    assert image.pixels[lesion.mask.box.slices][lesion.mask.crop].mean() > 0.8


def test_an_image_with_only_regions_that_are_not_lesions_does_not_count_as_free_of_lesions(cesm: Path) -> None:
    path = cesm / "native-cc" / "masks" / "IM0002.png"
    cv2.imwrite(str(path), np.full((320, 200), 255, dtype=np.uint8))
    found = read_cdd_cesm(cesm)
    case = next(case for case in found.cases if case.name == "IM0002")
    assert not case.marked_up
    assert case.read_lesions(case.read()) == ()
    assert LeftOut("IM0002 for detection", "none of its drawn regions can be a lesion") in found.left_out


def test_a_missing_mask_is_named(cesm: Path) -> None:
    (cesm / "native-cc" / "masks" / "IM0002.png").unlink()
    with pytest.raises(DatasetError, match=r"IM0002\.png is missing"):
        read_cdd_cesm(cesm)


def test_a_folder_without_the_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"annotations\.csv is missing"):
        read_cdd_cesm(tmp_path)


def test_an_empty_set_is_refused(cesm: Path) -> None:
    labels = cesm / "native-cc" / "labels.csv"
    labels.write_text(labels.read_text().partition("\n")[0] + "\n")
    for image in (cesm / "malignant-512" / "images").iterdir():
        image.unlink()
    with pytest.raises(DatasetError, match="No images in"):
        read_cdd_cesm(cesm)


def test_a_table_with_a_missing_column_is_named(cesm: Path) -> None:
    (cesm / "native-cc" / "labels.csv").write_text("file,tcia_name\n")
    with pytest.raises(DatasetError, match=r"labels\.csv has no column repo_class"):
        read_cdd_cesm(cesm)


def test_a_file_that_is_not_an_image_is_named(cesm: Path) -> None:
    (cesm / "native-cc" / "images" / "IM0001.jpg").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"IM0001\.jpg cannot be read"):
        read_cdd_cesm(cesm)


def test_regions_that_cannot_be_a_lesion_are_left_out_each_with_its_reason(tmp_path: Path) -> None:
    drawn = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    cv2.circle(drawn, (150, 100), 25, 255, -1)  # a lesion
    cv2.circle(drawn, (150, 180), 2, 255, -1)  # drawn by mistake
    cv2.rectangle(drawn, (20, 220), (280, 226), 255, -1)  # skin
    cv2.rectangle(drawn, (40, 240), (290, 390), 255, -1)  # half the breast
    lesions, left_out = _lesion_regions(tmp_path, drawn)
    assert [(mask.box.top, mask.box.left, mask.box.height) for mask in lesions] == [(75, 125, 51)]
    assert [item.reason for item in left_out] == [
        "shorter than 2% of the breast",
        "a strip, as thickened skin is drawn",
        "larger than 30% of the breast",
    ]


def test_a_frame_drawn_round_the_breast_is_left_out(tmp_path: Path) -> None:
    drawn = cv2.rectangle(np.zeros((ROWS, COLUMNS), dtype=np.uint8), (20, 20), (280, 380), 255, 5)
    lesions, left_out = _lesion_regions(tmp_path, drawn)
    assert lesions == ()
    assert "box is larger than 50%" in left_out[0].reason


def test_grey_compression_artefacts_of_a_jpeg_mask_are_ignored(tmp_path: Path) -> None:
    drawn = cv2.circle(np.full((ROWS, COLUMNS), 20, dtype=np.uint8), (150, 100), 25, 250, -1)
    lesions, _ = _lesion_regions(tmp_path, drawn)
    assert len(lesions) == 1


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a mask of the size of"):
        _lesion_regions(tmp_path, np.zeros((10, 10), dtype=np.uint8))


def _lesion_regions(folder: Path, drawn: np.ndarray) -> tuple[tuple[Mask, ...], tuple[LeftOut, ...]]:
    mask = folder / "mask.png"
    cv2.imwrite(str(mask), drawn)
    regions = parts_of(read_drawn(mask, (ROWS, COLUMNS), folder / "one.jpg"))
    return lesion_regions("one", regions, np.ones((ROWS, COLUMNS), dtype=np.bool_))
