"""The files of a data set, for those who know no DICOM (implements models.datasets.dicom.DicomReader)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dicom_io.attributes import number
from dicom_io.errors import NotReadable
from dicom_io.pixels.decoding import read_dataset, stored_values
from dicom_io.pixels.mammogram import read_mammogram
from dicom_io.segmentations import read_segments
from models.types.mammogram import Mammogram
from models.types.region import Mask


@dataclass(frozen=True)
class CaseReader:
    """Reads mammograms, masks that come as images, and segmentations.

    All methods raise OSError where a file cannot be had, and ValueError, with the cause in a sentence, where it cannot
    be read.

    Attributes:
        max_pixels: images with more samples are refused by their header.
    """

    max_pixels: int = 100_000_000

    def mammogram(self, path: Path) -> Mammogram:
        """The image for display, as the node itself would see it (`read_mammogram`)."""
        return read_mammogram(path, self.max_pixels)

    def shape(self, path: Path) -> tuple[int, int]:
        """Rows and columns, by the header alone."""
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
            rows, columns = number(header, "Rows"), number(header, "Columns")
        except InvalidDicomError as cause:
            raise NotReadable("The file is not a DICOM file.") from cause
        except EOFError as cause:
            raise NotReadable("The DICOM file is cut short.") from cause
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
        """Label and pixels of each segment of a BINARY, FRACTIONAL (from one half on) or LABELMAP segmentation.

        Several frames of a segment are joined; a segment without a pixel is absent. A segmentation of several images
        is refused: its frames belong to different pictures.
        """
        found = read_segments(path, rows_columns)
        if len({segment.image_uid for segment in found}) > 1:
            raise NotReadable("The segmentation outlines several images: write one for each.")
        return [(segment.label, segment.mask) for segment in found]
