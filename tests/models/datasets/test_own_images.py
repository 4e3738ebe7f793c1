"""One's own images: four usual layouts give the same lesions, and a mistake in one is named with its cure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_files import write_dicom
from numpy.typing import NDArray

from dicom_io.case_reader import CaseReader
from models.datasets.case import Case, Cases, DatasetError, Pathology, Side
from models.datasets.catalog import open_data
from models.datasets.own.regions import kind_of
from models.datasets.own.writing import Layout, write_cases
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

SHAPE = (200, 120)
OUTLINED = np.zeros(SHAPE, dtype=np.uint8)
OUTLINED[40:61, 20:41] = 1
CORNERS = [20, 40, 40, 40, 40, 60, 20, 60]
"""x, y of its corners."""
BOX = (60, 100, 30, 20)
"""x, y, width, height of a cluster of which only a box is known."""
HEAD = "image,patient,exam,laterality,view,birads,density,spacing_mm,film,hospital,side,marked_up"
FIRST = "one_0000.png,A,A1,L,CC,4A,2,0.07,yes,H,test,"
SECOND = "two_0000.png,B,,,,,,,,,,"


def pictures(folder: Path, below: str = "") -> None:
    (folder / below).mkdir(parents=True, exist_ok=True)
    for name in ("one_0000.png", "two_0000.png"):
        cv2.imwrite(str(folder / below / name), np.full(SHAPE, 2048, dtype=np.uint16))


def table(folder: Path, below: str = "", *, rows: tuple[str, ...] = (FIRST, SECOND), head: str = HEAD) -> Path:
    path = folder / "images.csv"
    path.write_text("\n".join([head, *(below + row for row in rows)]) + "\n")
    return path


def csv(folder: Path) -> str:
    pictures(folder)
    cv2.imwrite(str(folder / "mass.png"), OUTLINED * 255)
    head = f"{HEAD},pathology,kind,mask,x,y,width,height"
    rows = (
        f"{FIRST},malignant,mass,mass.png,,,,",
        f"{FIRST},benign,calcifications,,60,100,30,20",
        f"{SECOND},normal,,,,,,",
    )
    return f"csv:{table(folder, rows=rows, head=head)}"


def coco(folder: Path) -> str:
    pictures(folder)
    table(folder)
    flat = np.concatenate(([0], OUTLINED.ravel(order="F"), [0])).astype(int)
    edges = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate(([0], edges, [OUTLINED.size]))).tolist()
    content = {
        "info": {"year": 2026},
        "images": [{"id": 7, "file_name": "one_0000.png", "width": 120}, {"id": 8, "file_name": "two_0000.png"}],
        "categories": [{"id": 1, "name": "Mass"}, {"id": 2, "name": "Microcalcification"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "segmentation": {"counts": runs, "size": SHAPE}, "iscrowd": 1},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": BOX, "segmentation": []},
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return f"coco:{folder}"


def coco_with_polygons(folder: Path) -> str:
    spec = coco(folder)
    content = json.loads((folder / "annotations.json").read_text())
    content["annotations"][0]["segmentation"] = [CORNERS]
    (folder / "annotations.json").write_text(json.dumps(content))
    return spec


def yolo(folder: Path) -> str:
    pictures(folder, "images/")
    table(folder, "images/")
    (folder / "classes.txt").write_text("mass\ncalcification\n")
    (folder / "labels").mkdir()
    sides = np.array([SHAPE[1], SHAPE[0]] * 4)
    corners = " ".join(map(str, (np.array(CORNERS) + 0.5) / sides))
    x, y, width, height = BOX
    shares = np.array([x + width / 2, y + height / 2, width, height]) / sides[:4]
    (folder / "labels/one_0000.txt").write_text(f"0 {corners}\n1 {' '.join(map(str, shares))}\n")
    return f"yolo:{folder}"


def nnunet(folder: Path) -> str:
    pictures(folder, "imagesTr/")
    table(folder, "imagesTr/")
    labels = OUTLINED.copy()
    x, y, width, height = BOX
    labels[y : y + height, x : x + width] = 2
    (folder / "labelsTr").mkdir()
    cv2.imwrite(str(folder / "labelsTr/one.png"), labels)
    cv2.imwrite(str(folder / "labelsTr/two.png"), np.zeros_like(labels))
    values = {"background": 0, "mass": 1, "calcification": 2}
    (folder / "dataset.json").write_text(json.dumps({"labels": values, "file_ending": ".png", "numTraining": 2}))
    return f"nnunet:{folder}"


LAYOUTS = [csv, coco, coco_with_polygons, yolo, nnunet]


def opened(spec: str) -> Cases:
    return open_data([spec], CaseReader())


def masks(case: Case) -> list[tuple[FindingKind, NDArray[np.bool_]]]:
    return [(lesion.kind, lesion.mask.full(SHAPE)) for lesion in case.read_lesions(case.read())]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_the_same_images_and_lesions(layout: Callable[[Path], str], tmp_path: Path) -> None:
    first, second = opened(layout(tmp_path)).cases
    assert (first.exam, first.laterality, first.view, first.birads) == ("A1", Laterality.LEFT, "CC", "4A")
    assert (first.density, first.hospital, first.official) == ("B", "H", Side.TEST)
    assert first.patient.endswith("/A")
    assert first.marked_up
    assert second.marked_up
    image = first.read()
    assert image.shape == SHAPE
    assert image.spacing_mm == (0.07, 0.07)
    assert image.pixels.max() == pytest.approx(2048 / 4095), "12 bits are the least that hold its values"
    assert (second.exam, second.read().spacing_mm, second.read_lesions(image)) == (None, None, ())
    (mass, outline), (cluster, box) = masks(first)
    assert (mass, cluster) == (FindingKind.MASS, FindingKind.CALCIFICATION)
    assert first.kinds == {FindingKind.MASS, FindingKind.CALCIFICATION}
    np.testing.assert_array_equal(outline, OUTLINED > 0)
    x, y, width, height = BOX
    assert box[y : y + height, x : x + width].all()
    assert np.count_nonzero(box) == width * height


def test_pathology_is_of_the_lesion_and_the_image_has_the_most_severe(tmp_path: Path) -> None:
    first, second = opened(csv(tmp_path)).cases
    assert [lesion.pathology for lesion in first.read_lesions(first.read())] == [Pathology.MALIGNANT, Pathology.BENIGN]
    assert (first.pathology, second.pathology) == (Pathology.MALIGNANT, Pathology.NORMAL)


def test_dicom_files_are_read_as_the_node_reads_them(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 4000)
    (case,) = opened(f"csv:{table(tmp_path, head='image,patient', rows=('a.dcm,A',))}").cases
    assert case.read().shape == SHAPE


def test_a_lesion_of_an_unknown_class_is_left_out_and_its_image_is_not_marked_up(tmp_path: Path) -> None:
    spec = yolo(tmp_path)
    (tmp_path / "classes.txt").write_text("mass\nskin fold\n")
    found = opened(spec)
    assert [case.marked_up for case in found.cases] == [False, True]
    (left_out,) = found.left_out
    assert "'skin fold' is neither a mass nor a calcification" in left_out.reason


def test_an_image_that_nobody_looked_at_is_not_marked_up(tmp_path: Path) -> None:
    spec = nnunet(tmp_path)
    (tmp_path / "labelsTr/two.png").unlink()
    assert [case.marked_up for case in opened(spec).cases] == [True, False]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mass", FindingKind.MASS),
        ("Architectural_Distortion", FindingKind.MASS),
        ("Focal Asymmetry", FindingKind.MASS),
        ("microcalcifications", FindingKind.CALCIFICATION),
        ("mass with calcifications", FindingKind.MASS_WITH_CALCIFICATIONS),
        ("nipple", None),
    ],
)
def test_the_usual_names_of_classes_are_understood(name: str, kind: FindingKind | None) -> None:
    assert kind_of(name) is kind


def changed(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1))

    return change


def removed(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def painted(path: str, labels: NDArray[np.uint8]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        cv2.imwrite(str(folder / path), labels)

    return change


@pytest.mark.parametrize(
    ("layout", "change", "says"),
    [
        (csv, removed("one_0000.png"), "one_0000.png is missing, and .*images.csv names it"),
        (csv, removed("mass.png"), "mass.png is missing"),
        (csv, changed("images.csv", "one_0000.png,A,A1,L", "one_0000.png,,A1,L"), "differ in patient"),
        (csv, changed("images.csv", "two_0000.png,B", "two_0000.png,"), "has no patient"),
        (csv, changed("images.csv", "two_0000.png,B,", ",B,"), "row 4 names no image"),
        (csv, changed("images.csv", "patient", "person"), "has no column patient"),
        (csv, changed("images.csv", "malignant", "cancer"), "'cancer'. Write normal or benign or malignant"),
        (csv, changed("images.csv", "two_0000.png,B,,,", "two_0000.png,B,,both,"), "laterality 'both'. Write L or R"),
        (csv, changed("images.csv", "normal,,,,,,", "normal,mass,,1,2,3,"), "height ''. Give it a mask, or x, y"),
        (coco, removed("annotations.json"), "annotations.json cannot be read"),
        (coco, changed("annotations.json", '"bbox": [60', '"bbox": ["a"'), "damaged"),
        (coco, changed("annotations.json", '"bbox": [60, 100, 30, 20], ', ""), "neither a segmentation nor a bbox"),
        (coco, changed("annotations.json", '"category_id": 2', '"category_id": 9'), "is of an image or a category"),
        (coco, changed("images.csv", "one_0000.png", "two_0000.png"), "no row for one_0000.png|differ in"),
        (yolo, removed("classes.txt"), "classes.txt cannot be read"),
        (yolo, changed("labels/one_0000.txt", "1 ", "5 "), "line 2 is of class 5, and classes.txt has 2"),
        (yolo, changed("labels/one_0000.txt", "0 ", "0 0.5 "), "line 1 holds neither a box"),
        (yolo, changed("labels/one_0000.txt", "0 ", "mass "), "something else than numbers"),
        (nnunet, removed("dataset.json"), "dataset.json cannot be read"),
        (nnunet, painted("labelsTr/one.png", OUTLINED * 9), "has the value 9, which dataset.json lacks"),
    ],
)
def test_a_mistake_is_named_with_its_cure(
    layout: Callable[[Path], str], change: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    spec = layout(tmp_path)
    change(tmp_path)
    with pytest.raises(DatasetError, match=says):
        opened(spec)


@pytest.mark.parametrize(
    ("layout", "change", "says"),
    [
        (csv, changed("images.csv", "60,100,30,20", "600,100,30,20"), "no pixel in its image of 120 × 200"),
        (csv, painted("mass.png", OUTLINED[:100]), "mass.png has 120 × 100 pixels, and its image 120 × 200"),
        (csv, lambda folder: (folder / "one_0000.png").write_bytes(b"none"), "cannot be read as a grey picture"),
        (coco, changed("annotations.json", '"size": [200', '"size": [100'), "runs of another size"),
        (nnunet, painted("labelsTr/one.png", OUTLINED[:100]), "has not the size of its image"),
    ],
)
def test_a_lesion_that_does_not_fit_its_image_is_named(
    layout: Callable[[Path], str], change: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    spec = layout(tmp_path)
    change(tmp_path)
    case = opened(spec).cases[0]
    with pytest.raises(DatasetError, match=says):
        case.read_lesions(case.read())


def test_a_table_that_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a file"):
        opened(f"csv:{tmp_path}")


@pytest.mark.parametrize("layout", list(Layout))
def test_what_is_written_is_read_again(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "out").mkdir()
    first, second = opened(csv(tmp_path / "given")).cases
    write_cases([first, replace(second, marked_up=False)], layout, tmp_path / "out")
    place = tmp_path / "out/images.csv" if layout is Layout.CSV else tmp_path / "out"
    again, unmarked = opened(f"{layout}:{place}").cases
    for name in ("exam", "laterality", "view", "density", "hospital", "official", "birads", "pathology", "kinds"):
        assert getattr(again, name) == getattr(first, name), name
    assert again.read().spacing_mm == first.read().spacing_mm
    assert [case.read().film for case in (again, unmarked)] == [case.read().film for case in (first, second)]
    assert (again.marked_up, unmarked.marked_up) == (True, False)
    for (kind, mask), (other_kind, other) in zip(masks(first), masks(again), strict=True):
        assert kind is other_kind
        np.testing.assert_array_equal(mask, other)
