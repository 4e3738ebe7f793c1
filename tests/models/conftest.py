"""A data set of drawn breasts, laid out as CDD-CESM is."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

_LABELS = ("file", "repo_class", "tcia_name", "tcia_pathology", "findings", "bbox_union", "patient_low", "patient_high")
_ANNOTATIONS = ("Image_name", "Findings", "View")


@pytest.fixture(scope="session")
def cesm_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: `cesm` is a copy for tests that write."""
    return _drawn(tmp_path_factory.mktemp("cesm"))


@pytest.fixture
def cesm(tmp_path: Path) -> Path:
    """Twelve patients: 1–8 with a lesion each (odd ones malignant, with an MLO of 512 pixels too), 9–12 normal, and
    one normal image of a patient between 9 and 10."""
    return _drawn(tmp_path / "cesm")


def breast(rows: int, columns: int, draw: np.random.Generator) -> NDArray[np.uint8]:
    y, x = np.mgrid[:rows, :columns]
    inside = ((y - rows / 2) / (rows * 0.46)) ** 2 + (x / (columns * 0.85)) ** 2 < 1
    return np.where(inside, 70 + draw.integers(0, 40, (rows, columns)), 2).astype(np.uint8)


def disc(shape: tuple[int, int], row: int, column: int, radius: int) -> NDArray[np.uint8]:
    drawn = np.zeros(shape, dtype=np.uint8)
    cv2.circle(drawn, (column, row), radius, 255, -1)
    return drawn


def _drawn(folder: Path) -> Path:
    for part in ("native-cc", "malignant-512"):
        for kind in ("images", "masks"):
            (folder / part / kind).mkdir(parents=True)
    draw = np.random.default_rng(0)
    labels, annotations = [], []
    for patient in range(1, 9):
        malignant = patient % 2 == 1
        name, twin = f"IM{patient:04}", f"P{patient}_L_DM_CC"
        words = "High density mass" if patient < 7 else "Cluster of microcalcifications"
        _save(folder / "native-cc", name, ".png", (320, 200), draw, lesion=True)
        labels.append(
            (f"{name}.jpg", "x", twin, "Malignant" if malignant else "Benign", words, "1 2 3 4", patient, patient)
        )
        annotations.append((twin, words, "CC"))
        if malignant:
            mlo = f"P{patient}_L_DM_MLO"
            _save(folder / "malignant-512", mlo, ".jpg", (512, 512), draw, lesion=True)
            annotations.append((mlo, words, "MLO"))
    _save(folder / "malignant-512", "P1_L_DM_CC", ".jpg", (512, 512), draw, lesion=True)
    for number, (low, high) in enumerate(((9, 9), (9, 10), (10, 10), (11, 11), (12, 12)), start=20):
        _save(folder / "native-cc", f"IM{number:04}", None, (320, 200), draw, lesion=False)
        labels.append((f"IM{number:04}.jpg", "normal", "", "", "", "", low, high))
    _table(folder / "native-cc" / "labels.csv", _LABELS, labels)
    _table(folder / "annotations.csv", _ANNOTATIONS, annotations)
    return folder


def _save(
    part: Path, name: str, mask_ending: str | None, shape: tuple[int, int], draw: np.random.Generator, lesion: bool
) -> None:
    image = breast(*shape, draw)
    if lesion:
        rows, columns = shape
        region = disc(shape, int(draw.integers(rows // 3, 2 * rows // 3)), columns // 3, rows // 12)
        image = np.maximum(image, region // 255 * 230).astype(np.uint8)
        cv2.imwrite(str(part / "masks" / f"{name}{mask_ending}"), region)
    cv2.imwrite(str(part / "images" / f"{name}.jpg"), image)


def _table(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
