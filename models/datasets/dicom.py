"""The interface by which data sets read DICOM files: `dicom_io` implements it, the command line passes it in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.datasets.case import DatasetError
from models.errors import UserError
from models.types.mammogram import Laterality, Mammogram
from models.types.region import Mask

Read = TypeVar("Read")


class DicomReader(Protocol):
    """Reads the files of a data set.

    All methods raise OSError if a file cannot be opened, and UserError if it is not as expected; its message names the
    cause. `CheckedReader` adds the file's name.
    """

    def mammogram(self, path: Path) -> Mammogram:
        """The image for display, decoded as the node itself does it."""

    def shape(self, path: Path) -> tuple[int, int]:
        """Rows and columns, from the header only."""

    def stored(self, path: Path) -> NDArray[np.generic]:
        """The stored values, rows × columns, for masks in DICOM images."""

    def segments(self, path: Path, rows_columns: tuple[int, int]) -> list[tuple[str, Mask]]:
        """Label and pixels of each segment of a DICOM SEG made on an image of this shape; segments without a pixel
        are absent."""


@dataclass(frozen=True)
class CheckedReader:
    """A reader that turns every failure into a DatasetError that names the file."""

    reader: DicomReader

    def mammogram(self, path: Path) -> Mammogram:
        return _named(path, lambda: self.reader.mammogram(path))

    def shape(self, path: Path) -> tuple[int, int]:
        return _named(path, lambda: self.reader.shape(path))

    def stored(self, path: Path) -> NDArray[np.generic]:
        return _named(path, lambda: self.reader.stored(path))

    def segments(self, path: Path, rows_columns: tuple[int, int]) -> list[tuple[str, Mask]]:
        return _named(path, lambda: self.reader.segments(path, rows_columns))


def placed(
    image: Mammogram,
    laterality: Laterality | None,
    view: str | None,
    spacing_mm: float | None = None,
    film: bool | None = None,
) -> Mammogram:
    """The image; laterality, view, spacing (mm per pixel) and whether it is a film are what a set's tables or authors
    state, where the image's header does not state them."""
    film = image.film if image.film is not None else film
    completed = replace(image, laterality=image.laterality or laterality, view=image.view or view, film=film)
    if completed.spacing_mm is not None or spacing_mm is None:
        return completed
    return replace(completed, spacing_mm=(spacing_mm, spacing_mm), spacing_by="what the data set's authors say")


def _named(path: Path, read: Callable[[], Read]) -> Read:
    try:
        return read()
    except OSError as error:
        raise DatasetError(f"{path} cannot be opened: {error.strerror or error}. Fetch it again.") from error
    except UserError as error:
        raise DatasetError(f"{path} cannot be used: {error} Fetch it again.") from error
