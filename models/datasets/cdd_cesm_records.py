"""CDD-CESM: low-energy mammograms with drawn lesions (doi 10.7937/29kw-ae92, CC BY 4.0).

Sources: Khaled et al. 2021 (10.7937/29kw-ae92), Khaled et al. 2022 (10.1038/s41597-022-01238-0), Clark et al. 2013
(10.1007/s10278-013-9622-7). The folder read here:

    annotations.csv           one row an image: findings, view, pathology
    native-cc/labels.csv      one row an image, with its patient or the range of patient numbers it belongs to
    native-cc/images, masks   JPEG at the original size, CC views; PNG masks
    malignant-512/images, masks   JPEG padded to 512 × 512, CC and MLO, all malignant

View and size give the label away: every MLO image and every one of 512 pixels is malignant. `Record.native` says which
images a malignancy figure may be measured on.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.case import DatasetError, LeftOut, Pathology
from models.types import Box, FindingKind, Mask

_DRAWN = 128
"""Masks are JPEG or PNG: a pixel belongs to a region from this grey on."""
_SOFT = re.compile(r"mass|nodul|node|imln|asymm?etr|distortion|densit", re.IGNORECASE)
_MASS = re.compile(r"mass|nodul|node|imln", re.IGNORECASE)
_CALCIFICATION = re.compile(r"calcifi|calcification", re.IGNORECASE)
_HARMLESS = re.compile(r"(benign|vascular)[^$]*calcif[^$]*", re.IGNORECASE)

LARGEST_SHARE = 0.3
"""A region larger than this share of the breast outlines oedema or the whole gland, not a lesion."""
LARGEST_BOX_SHARE = 0.5
"""A region whose box is larger than this share of the breast is drawn along the skin, or is several in one."""
SMALLEST_SIDE = 0.02
"""A region shorter than this share of the breast's long side is a slip of the pen or not resolved at 512 pixels."""
LONGEST_STRIP = 6.0
"""Area over the square of the greatest width: a disc has 0.8, thickened skin drawn along the breast 10 to 40."""


@dataclass(frozen=True)
class Record:
    """One image of the set.

    Attributes:
        name: its file name without the ending, unique in the set.
        image: the image file.
        mask: the file with the drawn regions; None where none was drawn.
        patients: first and last number of the patients it may belong to; equal where the patient is known.
        view: "CC" or "MLO".
        pathology: of the breast.
        kind: what the drawn regions are, by the findings' words; None where nothing is drawn or the words name no
            lesion that a mammogram shows (oedema, a scar, a duct, "normal").
        native: at its original size, of the part of the set that has benign, malignant and normal images.
        unmarked: known to show no lesion; an image without a region is not unmarked when its findings are unknown.
    """

    name: str
    image: Path
    mask: Path | None
    patients: tuple[int, int]
    view: str
    pathology: Pathology
    kind: FindingKind | None
    native: bool
    unmarked: bool

    @property
    def for_detection(self) -> bool:
        """Whether a detector can learn from it: it shows drawn lesions, or none at all."""
        return self.kind is not None or self.unmarked


@dataclass(frozen=True)
class Dataset:
    """The images that can be used, by name, and what was left out."""

    records: tuple[Record, ...]
    left_out: tuple[LeftOut, ...]


def read_dataset(folder: Path) -> Dataset:
    """Lists the images of the set; no pixels are read.

    Raises:
        DatasetError: a table, an image or a mask is missing, or there are no images.
    """
    findings = {row["Image_name"].strip(): row for row in _table(folder / "annotations.csv")}
    native = list(_native(folder / "native-cc", findings))
    known = {twin for _, twin in native}
    records, left_out = [record for record, _ in native], []
    for record in _malignant(folder / "malignant-512", findings):
        if record.name in known:
            left_out.append(LeftOut(record.name, "the same image stands in native-cc at its original size"))
        else:
            records.append(record)
    if not records:
        raise DatasetError(f"No images in {folder}. Give the folder that holds annotations.csv and native-cc.")
    return Dataset(tuple(records), tuple(left_out))


def read_pixels(record: Record) -> NDArray[np.float32]:
    """The image, rows × columns, float32 in 0..1.

    Raises:
        DatasetError: the file is not an image.
    """
    pixels = cv2.imread(str(record.image), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise DatasetError(f"{record.image} cannot be read as an image. Fetch it again.")
    return np.divide(pixels, 255, dtype=np.float32)


def read_lesions(record: Record, breast: NDArray[np.bool_]) -> tuple[tuple[Mask, ...], tuple[LeftOut, ...]]:
    """The drawn regions that can be a lesion, and those that cannot, each with its reason.

    Args:
        record: the image.
        breast: the breast's pixels (`models.breast.breast_mask`), of the image's shape.

    Raises:
        DatasetError: the mask is not an image or not of the image's shape.
    """
    if record.mask is None or record.kind is None:
        return (), ()
    drawn = cv2.imread(str(record.mask), cv2.IMREAD_GRAYSCALE)
    if drawn is None or drawn.shape != breast.shape:
        raise DatasetError(f"{record.mask} is not a mask of the size of {record.image.name}. Fetch both again.")
    _, labels, stats, _ = cv2.connectedComponentsWithStats((drawn >= _DRAWN).astype(np.uint8))
    lesions, left_out = [], []
    for number, (left, top, width, height, area) in enumerate(stats[1:].tolist(), start=1):
        box = Box(top, left, top + height, left + width)
        mask = Mask(box, labels[box.slices] == number)
        fault = _fault(mask, area, breast)
        if fault is None:
            lesions.append(mask)
        else:
            left_out.append(LeftOut(f"{record.name} region {number}", fault))
    return tuple(lesions), tuple(left_out)


def kind_of(findings: str) -> FindingKind | None:
    """What the drawn regions of an image are, by the words of its findings.

    Calcifications called benign or vascular do not count: they are not what was drawn. Suspicious calcifications
    without a mass or node are a calcification, also where they lie over an asymmetry or a distortion; every other
    soft-tissue finding (mass, node, asymmetry, distortion) is a mass. One answer for all regions of an image: the
    set does not say which region is which.
    """
    words = _HARMLESS.sub("", findings)
    if _CALCIFICATION.search(words) and not _MASS.search(words):
        return FindingKind.CALCIFICATION
    if _SOFT.search(words):
        return FindingKind.MASS
    return FindingKind.CALCIFICATION if _only_benign_calcifications(findings) else None


def _only_benign_calcifications(findings: str) -> bool:
    # "Benign macrocalcification" and no other finding: then it is what was drawn.
    return bool(re.fullmatch(r"\s*(benign|pop ?corn)\s+macro-?calcifications?\s*", findings, re.IGNORECASE))


def _fault(mask: Mask, area: int, breast: NDArray[np.bool_]) -> str | None:
    breast_area = max(1, int(np.count_nonzero(breast)))
    long_side = max(int(np.count_nonzero(breast.any(axis=0))), int(np.count_nonzero(breast.any(axis=1))))
    if max(mask.box.height, mask.box.width) < SMALLEST_SIDE * long_side:
        return f"shorter than {SMALLEST_SIDE:.0%} of the breast"
    if area > LARGEST_SHARE * breast_area:
        return f"larger than {LARGEST_SHARE:.0%} of the breast"
    if mask.box.height * mask.box.width > LARGEST_BOX_SHARE * breast_area:
        return f"its box is larger than {LARGEST_BOX_SHARE:.0%} of the breast"
    edged = np.pad(mask.crop.astype(np.uint8), 1)
    width = 2 * float(cv2.distanceTransform(edged, cv2.DIST_L2, 5).max())
    if area > LONGEST_STRIP * width**2:
        return "a strip, as thickened skin is drawn"
    return None


def _native(folder: Path, findings: dict[str, dict[str, str]]) -> Iterator[tuple[Record, str]]:
    """Each image of native-cc with the name it has in the collection ("" where that is unknown)."""
    for row in _table(folder / "labels.csv"):
        twin = row["tcia_name"].strip()
        words = findings[twin]["Findings"] if twin in findings else row["findings"]
        drawn = bool(row["bbox_union"])
        name = Path(row["file"]).stem
        pathology = Pathology((row["tcia_pathology"] or _class(row["repo_class"])).strip().lower())
        record = Record(
            name=name,
            image=_present(folder / "images" / row["file"]),
            mask=_present(folder / "masks" / f"{name}.png") if drawn else None,
            patients=(int(row["patient_low"]), int(row["patient_high"])),
            view="CC",
            pathology=pathology,
            kind=kind_of(words) if drawn else None,
            native=True,
            unmarked=not drawn and pathology is Pathology.NORMAL,
        )
        yield record, twin


def _class(repo_class: str) -> str:
    return Pathology.MALIGNANT if repo_class == "mixed" else repo_class


def _malignant(folder: Path, findings: dict[str, dict[str, str]]) -> Iterator[Record]:
    for image in sorted((folder / "images").glob("*.jpg")):
        if image.stem not in findings:
            raise DatasetError(f"annotations.csv has no row for {image}. Fetch the table that belongs to the images.")
        patient = int(image.stem.split("_")[0].removeprefix("P"))
        yield Record(
            name=image.stem,
            image=image,
            mask=_present(folder / "masks" / image.name),
            patients=(patient, patient),
            view=findings[image.stem]["View"].strip(),
            pathology=Pathology.MALIGNANT,
            kind=kind_of(findings[image.stem]["Findings"]),
            native=False,
            unmarked=False,
        )


def _table(path: Path) -> list[dict[str, str]]:
    with _present(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _present(path: Path) -> Path:
    if not path.is_file():
        raise DatasetError(f"{path} is missing. The data set is incomplete: fetch it again.")
    return path
