"""Writes cases as one's own images in the layouts that `csv_file`, `coco`, `yolo_labels` and `nnunet` read.

Images become grey PNG files of 16 bits, whose brightest pixel is 65535, without anything of their headers: burnt-in
text stays. YOLO has one polygon for a lesion: of one in several parts the largest is written, without its holes.
nnU-Net has one label for a pixel: lesions of a class that touch become one, and where two classes overlap the later one
stays.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.case import Case, Lesion
from models.datasets.own.coco import ANNOTATIONS
from models.datasets.own.images import OF_IMAGES, OF_LESIONS, REQUIRED, TABLE
from models.datasets.own.nnunet import DESCRIPTION
from models.datasets.own.yolo_labels import CLASSES
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind

_LARGEST = (1 << 16) - 1
_KINDS = tuple(FindingKind)
_COLUMNS = (*REQUIRED, *OF_IMAGES, *OF_LESIONS)


class Layout(StrEnum):
    CSV = "csv"
    COCO = "coco"
    YOLO = "yolo"
    NNUNET = "nnunet"


@dataclass(frozen=True, eq=False)
class _Read:
    """A case whose pixels were read."""

    case: Case
    image: Mammogram
    lesions: tuple[Lesion, ...]


class _Writer(Protocol):
    """Writes the lesions of the images, one after the other."""

    folder: str
    """Of the images."""
    suffix: str
    """Of the images' names."""

    def add(self, read: _Read, file: str) -> list[dict[str, object]]:
        """Writes the lesions of an image; the columns of its rows in the table that are the lesions'."""

    def finish(self) -> None:
        """Writes what is about all images."""


def write_cases(cases: Iterable[Case], layout: Layout, out: Path) -> None:
    """Writes images, lesions and labels.

    Args:
        out: an existing folder.

    Raises:
        DatasetError: an image cannot be read.
    """
    writer = _WRITERS[layout](out)
    (out / writer.folder).mkdir()
    rows: list[dict[str, object]] = []
    for case in cases:
        image = case.read()
        read = _Read(case, image, case.read_lesions(image))
        file = f"{writer.folder}/{case.name}{writer.suffix}.png"
        _write_picture(out / file, image.pixels)
        stated = _stated(read, file)
        rows += [stated | of_lesion for of_lesion in writer.add(read, file)] or [stated]
    writer.finish()
    columns = dict.fromkeys((*_COLUMNS, *(column for row in rows for column in row)))
    with (out / TABLE).open("w", encoding="utf-8", newline="") as file_of_rows:
        table = csv.DictWriter(file_of_rows, columns)
        table.writeheader()
        table.writerows(rows)


def _stated(read: _Read, file: str) -> dict[str, object]:
    """The columns of the table that are the image's."""
    case, spacing = read.case, read.image.spacing_mm
    return {
        "image": file,
        "patient": case.patient,
        "exam": case.exam,
        "laterality": case.laterality,
        "view": case.view,
        "density": case.density,
        # Pixels that are not square have no column: their spacing stays unknown.
        "spacing_mm": spacing[0] if spacing is not None and np.isclose(*spacing) else None,
        "film": {True: "yes", False: "no", None: None}[read.image.film],
        "hospital": case.hospital,
        "side": case.official,
        "marked_up": "yes" if case.marked_up else "no",
        "pathology": case.pathology,
        "birads": case.birads,
    }


def _write_picture(path: Path, pixels: NDArray[np.float32]) -> None:
    brightest = float(pixels.max()) or 1.0
    path.write_bytes(cv2.imencode(".png", np.rint(pixels / brightest * _LARGEST).astype(np.uint16))[1].tobytes())


def _write_mask(path: Path, drawn: NDArray[np.uint8]) -> None:
    path.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())


class _Csv:
    folder, suffix = "images", ""

    def __init__(self, out: Path) -> None:
        self._out = out
        (out / "masks").mkdir()

    def add(self, read: _Read, file: str) -> list[dict[str, object]]:
        return [self._row(read, number, lesion) for number, lesion in enumerate(read.lesions, start=1)]

    def _row(self, read: _Read, number: int, lesion: Lesion) -> dict[str, object]:
        row: dict[str, object] = {"kind": lesion.kind, "pathology": lesion.pathology, "birads": lesion.birads}
        if not lesion.outlined:
            return row | dict(zip(("x", "y", "width", "height"), _corner_and_size(lesion), strict=True))
        mask = f"masks/{read.case.name}-{number}.png"
        _write_mask(self._out / mask, lesion.mask.full(read.image.shape).astype(np.uint8) * 255)
        return row | {"mask": mask}

    def finish(self) -> None:
        """The table is all."""


class _Coco:
    folder, suffix = "images", ""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._images: list[dict[str, object]] = []
        self._annotations: list[dict[str, object]] = []

    def add(self, read: _Read, file: str) -> list[dict[str, object]]:
        rows, columns = read.image.shape
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": file, "width": columns, "height": rows})
        for lesion in read.lesions:
            annotation: dict[str, object] = {
                "id": len(self._annotations) + 1,
                "image_id": number,
                "category_id": _KINDS.index(lesion.kind) + 1,
                "bbox": _corner_and_size(lesion),
                "area": lesion.mask.area_px,
                "iscrowd": int(lesion.outlined),
                "segmentation": _runs(lesion, read.image.shape) if lesion.outlined else [],
            }
            self._annotations.append(annotation)
        return []

    def finish(self) -> None:
        categories = [{"id": number, "name": str(kind)} for number, kind in enumerate(_KINDS, start=1)]
        content = {"images": self._images, "annotations": self._annotations, "categories": categories}
        (self._out / ANNOTATIONS).write_text(json.dumps(content), encoding="utf-8")


class _Yolo:
    folder, suffix = "images", ""

    def __init__(self, out: Path) -> None:
        self._out = out
        (out / "labels").mkdir()

    def add(self, read: _Read, file: str) -> list[dict[str, object]]:
        lines = [_yolo_line(lesion, read.image.shape) for lesion in read.lesions]
        (self._out / "labels" / f"{read.case.name}.txt").write_text("".join(f"{line}\n" for line in lines))
        return []

    def finish(self) -> None:
        (self._out / CLASSES).write_text("".join(f"{kind}\n" for kind in _KINDS), encoding="utf-8")


class _NnUnet:
    folder, suffix = "imagesTr", "_0000"

    def __init__(self, out: Path) -> None:
        self._out, self._count = out, 0
        (out / "labelsTr").mkdir()

    def add(self, read: _Read, file: str) -> list[dict[str, object]]:
        labels = np.zeros(read.image.shape, dtype=np.uint8)
        for lesion in sorted(read.lesions, key=lambda lesion: _KINDS.index(lesion.kind)):
            labels[lesion.mask.box.slices][lesion.mask.crop] = _KINDS.index(lesion.kind) + 1
        _write_mask(self._out / "labelsTr" / f"{read.case.name}.png", labels)
        self._count += 1
        return []

    def finish(self) -> None:
        content = {
            "channel_names": {"0": "mammogram"},
            "labels": {"background": 0, **{str(kind): number for number, kind in enumerate(_KINDS, start=1)}},
            "numTraining": self._count,
            "file_ending": ".png",
        }
        (self._out / DESCRIPTION).write_text(json.dumps(content, indent=1), encoding="utf-8")


_WRITERS: Mapping[Layout, type[_Csv] | type[_Coco] | type[_Yolo] | type[_NnUnet]] = MappingProxyType(
    {Layout.CSV: _Csv, Layout.COCO: _Coco, Layout.YOLO: _Yolo, Layout.NNUNET: _NnUnet}
)


def _corner_and_size(lesion: Lesion) -> tuple[int, int, int, int]:
    box = lesion.mask.box
    return box.left, box.top, box.width, box.height


def _runs(lesion: Lesion, shape: tuple[int, int]) -> dict[str, object]:
    """The mask as COCO's run lengths: of 0 and 1 by turns, down the columns."""
    flat = np.concatenate(([False], lesion.mask.full(shape).ravel(order="F")))
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate(([0], ends, [flat.size - 1])))
    return {"counts": counts.tolist(), "size": list(shape)}


def _yolo_line(lesion: Lesion, shape: tuple[int, int]) -> str:
    rows, columns = shape
    number = _KINDS.index(lesion.kind)
    shares: Sequence[float]
    if not lesion.outlined:
        left, top, width, height = _corner_and_size(lesion)
        shares = ((left + width / 2) / columns, (top + height / 2) / rows, width / columns, height / rows)
    else:
        shares = [share for x, y in _outline(lesion) for share in ((x + 0.5) / columns, (y + 0.5) / rows)]
    return " ".join([str(number), *(f"{share:.8f}" for share in shares)])


def _outline(lesion: Lesion) -> Sequence[tuple[int, int]]:
    """x, y of the corners of the largest part's outline, at least three."""
    box = lesion.mask.box
    found, _ = cv2.findContours(lesion.mask.crop.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = max(found, key=cv2.contourArea).reshape(-1, 2)
    corners = [(int(x) + box.left, int(y) + box.top) for x, y in points]
    return [*corners, *[corners[-1]] * (3 - len(corners))]
