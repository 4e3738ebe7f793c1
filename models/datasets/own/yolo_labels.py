"""`yolo:FOLDER`: one's own images with labels of YOLO (Ultralytics' format of detection and segmentation).

    images.csv          the images and their patients (`images.py`)
    classes.txt         the classes' names, one a line
    labels/NAME.txt     of the image NAME.png, .jpg, .dcm …: a line for each lesion, all numbers as shares of the image:
                        class, then x and y of the centre, width, height of a box; or x, y of a polygon's corners

Where the images lie in `images/…`, the labels lie in the same folders under `labels/`. An image without a file of
labels has no lesion, as in YOLO.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models.datasets.case import Cases, DatasetError
from models.datasets.dicom import DicomReader
from models.datasets.own.images import TABLE, OwnImage, case_of, put_together, read_images
from models.datasets.own.regions import Region, Shape, box, polygons
from models.types.region import Mask

DATASET = "yolo"
CLASSES = "classes.txt"
_BOX = 4
_LEAST_CORNERS = 3


def read_yolo(folder: Path, reader: DicomReader) -> Cases:
    """The images of the set; no pixels are read.

    Raises:
        DatasetError: see `read_images` and `case_of`; the classes are missing, or a line cannot be read.
    """
    classes = _lines(folder / CLASSES)
    return put_together(
        case_of(DATASET, image, reader, _regions(_labels_of(folder, image), classes))
        for image in read_images(folder / TABLE)
    )


def _regions(path: Path, classes: Sequence[str]) -> list[Region]:
    lines = _lines(path) if path.is_file() else []
    return [_region(line, classes, f"{path}: line {number}") for number, line in enumerate(lines, start=1)]


def _labels_of(folder: Path, image: OwnImage) -> Path:
    below = Path(image.file).with_suffix(".txt")
    parts = below.parts[1:] if below.parts[0] == "images" else below.parts
    return folder / "labels" / Path(*parts)


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as text. Export the labels in YOLO's format.") from error


def _region(line: str, classes: Sequence[str], place: str) -> Region:
    first, *rest = line.split()
    try:
        number, shares = int(first), [float(value) for value in rest]
    except ValueError as error:
        raise DatasetError(f"{place} holds something else than numbers. Export the labels in YOLO's format.") from error
    if not 0 <= number < len(classes):
        raise DatasetError(f"{place} is of class {number}, and {CLASSES} has {len(classes)}. Add its name there.")
    is_box = len(shares) == _BOX
    is_polygon = len(shares) >= 2 * _LEAST_CORNERS and len(shares) % 2 == 0
    if not (is_box or is_polygon) or not all(map(math.isfinite, shares)):
        raise DatasetError(f"{place} holds neither a box (x, y, width, height) nor a polygon (x, y, x, y, x, y, …).")
    return Region(place, classes[number], not is_box, partial(_box if is_box else _polygon, shares))


def _box(shares: Sequence[float], shape: Shape) -> Mask | None:
    x, y, width, height = (share * side for share, side in zip(shares, (*shape[::-1], *shape[::-1]), strict=True))
    return box((x - width / 2, y - height / 2, x + width / 2, y + height / 2))(shape)


def _polygon(shares: Sequence[float], shape: Shape) -> Mask | None:
    rows, columns = shape
    # The middle of the left top pixel lies at a half.
    corners = [(x * columns - 0.5, y * rows - 0.5) for x, y in zip(shares[::2], shares[1::2], strict=True)]
    return polygons([corners])(shape)
