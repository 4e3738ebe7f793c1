"""DICOM for data sets, without knowing DICOM: `dicom_io` brings the reader, the command line hands it in."""

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

    All raise OSError where a file cannot be had and UserError where it is not what it should be: a sentence that
    names the cause. `CheckedReader` adds the file.
    """

    def mammogram(self, path: Path) -> Mammogram:
        """The image for display, as the node itself would see it."""

    def shape(self, path: Path) -> tuple[int, int]:
        """Rows and columns, by the header alone."""

    def stored(self, path: Path) -> NDArray[np.generic]:
        """The stored values, rows × columns, for masks that come as DICOM images."""

    def segments(self, path: Path, rows_columns: tuple[int, int]) -> list[tuple[str, Mask]]:
        """Label and pixels of each segment of a DICOM SEG made on an image of this shape; segments without a pixel
        are absent."""


@dataclass(frozen=True)
class CheckedReader:
    """A reader whose every failure is a DatasetError that names the file."""

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
    image: Mammogram, laterality: Laterality | None, view: str | None, spacing_mm: float | None = None
) -> Mammogram:
    """The image with the breast, view and spacing that a set's tables or authors tell, where its header does not."""
    told = replace(image, laterality=image.laterality or laterality, view=image.view or view)
    if told.spacing_mm is not None or spacing_mm is None:
        return told
    return replace(told, spacing_mm=(spacing_mm, spacing_mm), spacing_by="what the data set's authors say")


def _named(path: Path, read: Callable[[], Read]) -> Read:
    try:
        return read()
    except OSError as error:
        raise DatasetError(f"{path} cannot be opened: {error.strerror or error}. Fetch it again.") from error
    except UserError as error:
        raise DatasetError(f"{path} cannot be used: {error} Fetch it again.") from error
