"""`coco:FOLDER`: one's own images with annotations of COCO (https://cocodataset.org, "Data format").

    images.csv          the images and their patients (`images.py`)
    annotations.json    of object detection: images, annotations, categories

An image is that whose `file_name` the table names. A `segmentation` of polygons, or one run-length encoded as a list of
counts, is an outline; without one the `bbox` is a box. Crowds (`iscrowd`) with a box alone are boxes too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.datasets.case import Cases, DatasetError
from models.datasets.dicom import DicomReader
from models.datasets.listed import read_listing
from models.datasets.own.images import TABLE, case_of, put_together, read_images
from models.datasets.own.regions import Region, Shape, box, polygons
from models.types.region import Mask

DATASET = "coco"
ANNOTATIONS = "annotations.json"
_LEAST_CORNERS = 3
_CURE = "Export it again as COCO's object detection."


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class RunLengths(_Record):
    """Runs of 0 and 1 by turns, down the columns; `size`: rows and columns."""

    counts: tuple[int, ...] | str
    size: tuple[int, int]


class CocoImage(_Record):
    id: int
    file_name: str


class Category(_Record):
    id: int
    name: str


class Annotation(_Record):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float] | None = None
    segmentation: tuple[tuple[float, ...], ...] | RunLengths | None = None


class Annotated(_Record):
    images: tuple[CocoImage, ...]
    annotations: tuple[Annotation, ...]
    categories: tuple[Category, ...]


def read_coco(folder: Path, reader: DicomReader) -> Cases:
    """The images of the set; no pixels are read.

    Raises:
        DatasetError: see `read_images` and `case_of`; the annotations are missing or damaged, or are of an image that
            the table does not name.
    """
    path = folder / ANNOTATIONS
    found = read_listing(path, Annotated, missing=f"Put the annotations into {ANNOTATIONS}.", damaged=_CURE)
    names = {category.id: category.name for category in found.categories}
    files = {image.id: image.file_name for image in found.images}
    regions_of: dict[str, list[Region]] = {file: [] for file in files.values()}
    for annotation in found.annotations:
        place = f"{path}: annotation {annotation.id}"
        if annotation.image_id not in files or annotation.category_id not in names:
            raise DatasetError(f"{place} is of an image or a category that is not in the file. {_CURE}")
        regions_of[files[annotation.image_id]].append(_region(annotation, names[annotation.category_id], place))
    table = folder / TABLE
    images = read_images(table)
    if missing := sorted({file for file, some in regions_of.items() if some} - {image.file for image in images}):
        raise DatasetError(f"{table} has no row for {missing[0]}, which {path} annotates. Add it, with its patient.")
    return put_together(
        # An image that the annotations do not list was never looked at.
        case_of(DATASET, image, reader, regions_of.get(image.file, []), looked_at=image.file in regions_of)
        for image in images
    )


def _region(annotation: Annotation, name: str, place: str) -> Region:
    match annotation.segmentation:
        case RunLengths(counts=str()):
            raise DatasetError(f"{place} is compressed run lengths, which are not read. Export polygons.")
        case RunLengths(counts=tuple() as counts, size=size):
            return Region(place, name, True, _runs(counts, size, place))
        case tuple() as parts if parts:
            if any(len(part) < _LEAST_CORNERS * 2 or len(part) % 2 for part in parts):
                raise DatasetError(f"{place} has a polygon that is not a list of three or more x, y. {_CURE}")
            return Region(
                place, name, True, polygons([list(zip(part[::2], part[1::2], strict=True)) for part in parts])
            )
        case _ if annotation.bbox is not None:
            left, top, width, height = annotation.bbox
            return Region(place, name, False, box((left, top, left + width, top + height)))
    raise DatasetError(f"{place} has neither a segmentation nor a bbox. {_CURE}")


def _runs(counts: Sequence[int], size: tuple[int, int], place: str) -> Callable[[Shape], Mask | None]:
    def draw(shape: Shape) -> Mask | None:
        if tuple(size) != shape or sum(counts) != size[0] * size[1] or min(counts, default=0) < 0:
            raise DatasetError(f"{place} has runs of another size than its image. {_CURE}")
        drawn = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(shape, order="F")
        return Mask.from_full(drawn)

    return draw
