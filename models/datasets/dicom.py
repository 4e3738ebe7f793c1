"""DICOM for data sets, without knowing DICOM: `dicom_io` brings the reader, the command line hands it in."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.types import Mammogram, Mask


class DicomReader(Protocol):
    """Reads the files of a data set. Both raise DatasetError, which names the file, where one cannot be read."""

    def mammogram(self, path: Path) -> Mammogram:
        """The image for display, as the node itself would see it."""

    def stored(self, path: Path) -> NDArray[np.generic]:
        """The stored values, rows × columns, for masks that come as DICOM images."""

    def segments(self, path: Path, rows_columns: tuple[int, int]) -> list[tuple[str, Mask]]:
        """Label and pixels of each segment of a DICOM SEG made on an image of this shape."""
