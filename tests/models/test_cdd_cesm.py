"""The data set is read as it is described, and what cannot be used is named with its reason."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.datasets.cdd_cesm import DatasetError, Pathology, Record, kind_of, read_dataset, read_lesions, read_pixels
from models.types import FindingKind

ROWS, COLUMNS = 400, 300


@pytest.mark.parametrize(
    ("findings", "kind"),
    [
        ("High density mass with microlobulated margin", FindingKind.MASS),
        ("High density mass with speculated margin and overlying microcalcification", FindingKind.MASS),
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
def test_the_findings_words_tell_masses_from_calcifications(findings: str, kind: FindingKind | None) -> None:
    assert kind_of(findings) is kind


def test_every_image_is_listed_once_and_its_smaller_copy_is_left_out_by_name(cesm_template: Path) -> None:
    dataset = read_dataset(cesm_template)
    assert len(dataset.records) == 8 + 4 + 5
    assert [one.name for one in dataset.left_out] == ["P1_L_DM_CC"]
    by_name = {record.name: record for record in dataset.records}
    assert by_name["IM0001"].pathology is Pathology.MALIGNANT
    assert by_name["IM0021"].patients == (9, 10)
    assert by_name["IM0021"].unmarked
    assert not by_name["P3_L_DM_MLO"].native
    assert by_name["P7_L_DM_MLO"].kind is FindingKind.CALCIFICATION


def test_a_missing_mask_is_named(cesm: Path) -> None:
    (cesm / "native-cc" / "masks" / "IM0002.png").unlink()
    with pytest.raises(DatasetError, match=r"IM0002\.png is missing"):
        read_dataset(cesm)


def test_a_folder_without_the_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"annotations\.csv is missing"):
        read_dataset(tmp_path)


def test_an_empty_set_is_refused(cesm: Path) -> None:
    (cesm / "native-cc" / "labels.csv").write_text("file,tcia_name\n")
    for image in (cesm / "malignant-512" / "images").iterdir():
        image.unlink()
    with pytest.raises(DatasetError, match="No images in"):
        read_dataset(cesm)


def test_a_file_that_is_no_image_is_named(cesm: Path) -> None:
    (cesm / "native-cc" / "images" / "IM0001.jpg").write_bytes(b"not a picture")
    record = next(record for record in read_dataset(cesm).records if record.name == "IM0001")
    with pytest.raises(DatasetError, match=r"IM0001\.jpg cannot be read"):
        read_pixels(record)


def test_drawings_that_cannot_be_a_lesion_are_left_out_each_with_its_reason(tmp_path: Path) -> None:
    drawn = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    cv2.circle(drawn, (150, 100), 25, 255, -1)  # a lesion
    cv2.circle(drawn, (150, 180), 2, 255, -1)  # a slip of the pen
    cv2.rectangle(drawn, (20, 220), (280, 226), 255, -1)  # skin
    cv2.rectangle(drawn, (40, 240), (290, 390), 255, -1)  # half the breast
    lesions, left_out = read_lesions(_record(tmp_path, drawn), np.ones((ROWS, COLUMNS), dtype=np.bool_))
    assert [(mask.box.top, mask.box.left, mask.box.height) for mask in lesions] == [(75, 125, 51)]
    assert [one.reason for one in left_out] == [
        "shorter than 2% of the breast",
        "a strip, as thickened skin is drawn",
        "larger than 30% of the breast",
    ]


def test_a_frame_drawn_round_the_breast_is_left_out(tmp_path: Path) -> None:
    drawn = cv2.rectangle(np.zeros((ROWS, COLUMNS), dtype=np.uint8), (20, 20), (280, 380), 255, 5)
    lesions, left_out = read_lesions(_record(tmp_path, drawn), np.ones((ROWS, COLUMNS), dtype=np.bool_))
    assert lesions == ()
    assert "box is larger than 50%" in left_out[0].reason


def test_the_grey_fringes_of_a_jpeg_mask_are_not_drawn(tmp_path: Path) -> None:
    drawn = cv2.circle(np.full((ROWS, COLUMNS), 20, dtype=np.uint8), (150, 100), 25, 250, -1)
    lesions, _ = read_lesions(_record(tmp_path, drawn), np.ones((ROWS, COLUMNS), dtype=np.bool_))
    assert len(lesions) == 1


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    record = _record(tmp_path, np.zeros((10, 10), dtype=np.uint8))
    with pytest.raises(DatasetError, match="is not a mask of the size of"):
        read_lesions(record, np.ones((ROWS, COLUMNS), dtype=np.bool_))


def _record(folder: Path, drawn: np.ndarray) -> Record:
    mask = folder / "mask.png"
    cv2.imwrite(str(mask), drawn)
    return Record(
        "one",
        folder / "one.jpg",
        mask,
        (1, 1),
        "CC",
        Pathology.MALIGNANT,
        FindingKind.MASS,
        native=True,
        unmarked=False,
    )
