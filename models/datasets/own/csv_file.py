"""`csv:FILE`: one's own images with a row for each lesion, as a box or as a mask file.

Beside the columns of `images.py` the table may have `kind` ("mass", "calcification", …), and for a box `x`, `y` (its
left top corner), `width` and `height` in pixels, or `mask`, a picture whose pixels that are not 0 are the lesion. A row
without a kind is of an image without a lesion.
"""

from __future__ import annotations

import math
from pathlib import Path

from models.datasets.case import Cases, DatasetError, Pathology
from models.datasets.dicom import DicomReader
from models.datasets.labels import birads_of
from models.datasets.own.images import OwnImage, case_of, put_together, read_images
from models.datasets.own.regions import Region, box, painted
from models.datasets.tables import Row

DATASET = "csv"
_BOX = ("x", "y", "width", "height")


def read_csv_file(table: Path, reader: DicomReader) -> Cases:
    """The images of the table; no pixels are read.

    Raises:
        DatasetError: see `read_images` and `case_of`; a lesion has neither a box nor a mask, or its mask is missing.
    """
    return put_together(case_of(DATASET, image, reader, _regions(image)) for image in read_images(table))


def _regions(image: OwnImage) -> list[Region]:
    return [_region(image, number, row) for number, row in enumerate(image.rows, start=1) if row.get("kind")]


def _region(image: OwnImage, number: int, row: Row) -> Region:
    place, table = f"{image.table}: lesion {number} of {image.file}", image.table
    pathology, birads = image.word(row, "pathology", Pathology), birads_of(row.get("birads", ""))
    if mask := row.get("mask"):
        path = table.parent / mask
        if not path.is_file():
            raise DatasetError(f"{path} is missing, and {table} names it. Paths start at the table.")
        return Region(place, row["kind"], True, painted(path), pathology, birads)
    left, top, width, height = (_number(row.get(column, ""), column, place) for column in _BOX)
    return Region(place, row["kind"], False, box((left, top, left + width, top + height)), pathology, birads)


def _number(value: str, column: str, place: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{place} has the {column} {value!r}. Give it a mask, or x, y, width and height in pixels.")
    return number
