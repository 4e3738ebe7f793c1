"""Regions drawn on one's own images: what a class's name means, and the pixels of boxes, polygons and masks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.case import DatasetError, Lesion, Pathology
from models.datasets.pictures import box_mask, polygon_mask
from models.types.reading import FindingKind
from models.types.region import Mask

_CALCIFICATION = re.compile(r"calc", re.IGNORECASE)
_MASS = re.compile(r"mass|tumou?r|distortion|as+[iy]m+etry", re.IGNORECASE)

Shape = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True)
class Region:
    """A region, or a box, of one image.

    Attributes:
        place: where it stands, for messages.
        name: of its class.
        outlined: see `Lesion`.
        mask: takes the image's shape and returns its pixels; None if it has none in the image.
    """

    place: str
    name: str
    outlined: bool
    mask: Callable[[Shape], Mask | None]
    pathology: Pathology | None = None
    birads: str | None = None

    @property
    def kind(self) -> FindingKind | None:
        """What its class means (`kind_of`)."""
        return kind_of(self.name)

    def lesion(self, shape: Shape, kind: FindingKind) -> Lesion:
        """The region as a lesion.

        Raises:
            DatasetError: it has no pixels in the image.
        """
        mask = self.mask(shape)
        if mask is None:
            rows, columns = shape
            raise DatasetError(f"{self.place} has no pixel in its image of {columns} × {rows}. Correct or remove it.")
        return Lesion(mask, self.outlined, kind, self.pathology, self.birads, self.name)


def kind_of(name: str) -> FindingKind | None:
    """The kind that a class's name means, such as "mass", "Calcification", "mass with calcifications"; asymmetries and
    distortions count as masses, as in the other sets. None for other names."""
    mass, calcification = _MASS.search(name), _CALCIFICATION.search(name)
    if mass and calcification:
        return FindingKind.MASS_WITH_CALCIFICATIONS
    if calcification:
        return FindingKind.CALCIFICATION
    return FindingKind.MASS if mass else None


def box(edges: Sequence[float]) -> Callable[[Shape], Mask | None]:
    """The pixels of a box: left, top, right, bottom."""
    return partial(box_mask, tuple(edges))


def polygons(parts: Sequence[Sequence[tuple[float, float]]]) -> Callable[[Shape], Mask | None]:
    """The pixels of one or several polygons: x, y of their corners."""

    def draw(shape: Shape) -> Mask | None:
        drawn = np.zeros(shape, dtype=np.bool_)
        for part in parts:
            if (mask := polygon_mask(part, shape)) is not None:
                drawn[mask.box.slices] |= mask.crop
        return Mask.from_full(drawn)

    return draw


def painted(path: Path, value: int | None = None) -> Callable[[Shape], Mask | None]:
    """The pixels of a mask file that have this value; None: that are not 0."""

    def draw(shape: Shape) -> Mask | None:
        drawn = read_labels(path, shape)
        return Mask.from_full(drawn != 0 if value is None else drawn == value)

    return draw


def read_labels(path: Path, shape: Shape | None = None) -> NDArray[np.integer[Any]]:
    """A picture of labels, as it is stored.

    Raises:
        DatasetError: it is no grey picture, or has not this shape.
    """
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise DatasetError(f"{path} is no mask: write a grey picture (PNG or TIFF) whose values are its labels.")
    if shape is not None and labels.shape != shape:
        sizes = [f"{columns} × {rows}" for rows, columns in (labels.shape, shape)]
        raise DatasetError(f"{path} has {sizes[0]} pixels, and its image {sizes[1]}. Draw it on the image itself.")
    return labels.astype(np.int64)
