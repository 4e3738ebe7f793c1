"""Grayscale Softcopy Presentation State (PS3.3 §A.33.1)."""

from __future__ import annotations

from pydicom import Dataset

from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import Encoding
from models.types import ReadImage


def encode_gsps(source: Dataset, image: ReadImage, *, encoding: Encoding) -> Dataset:
    """Raises:
    NotEncodable: not written yet.
    """
    raise NotEncodable("not written yet")
