"""Reads the DICOM files of a data set for models/, which knows no DICOM (models.datasets.dicom.DicomReader)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicom_io.attributes import number
from dicom_io.errors import NotReadable
from dicom_io.pixels.decoding import read_dataset, stored_values
from dicom_io.pixels.mammogram import read_mammogram
from dicom_io.segmentations import read_header, read_segments
from models.types.mammogram import Mammogram
from models.types.region import Mask


@dataclass(frozen=True)
class CaseReader:
    """Reads mammograms, masks that are stored as images, and segmentations.

    All methods raise OSError if the file cannot be opened, and NotReadable, whose message states the cause, if its
    content cannot be read.

    Attributes:
        max_pixels: an image whose header states more samples is refused.
    """

    max_pixels: int = 100_000_000

    def mammogram(self, path: Path) -> Mammogram:
        """The image on the display scale, as the node reads it (`read_mammogram`)."""
        return read_mammogram(path, self.max_pixels)

    def shape(self, path: Path) -> tuple[int, int]:
        """Rows and columns, by the header alone."""
        header = read_header(path)
        rows, columns = number(header, "Rows"), number(header, "Columns")
        if not rows or not columns:
            raise NotReadable("The header has no Rows or Columns.")
        return int(rows), int(columns)

    def stored(self, path: Path) -> NDArray[np.generic]:
        """The stored values, rows × columns."""
        stored = stored_values(read_dataset(path, self.max_pixels)).values
        if stored.ndim != 2:
            raise NotReadable("The image is in colour.")
        return stored

    def segments(self, path: Path, rows_columns: tuple[int, int]) -> list[tuple[str, Mask]]:
        """Label and pixels of each segment of a BINARY, FRACTIONAL (threshold 0.5) or LABELMAP segmentation.

        The frames of one segment are joined. A segment without pixels is left out. A segmentation of several images is
        refused.
        """
        found = read_segments(path, rows_columns)
        if len({segment.image_uid for segment in found}) > 1:
            raise NotReadable("The segmentation outlines several images: write one for each.")
        return [(segment.label, segment.mask) for segment in found]
