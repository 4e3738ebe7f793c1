"""Mammography CAD SR (PS3.3 §A.35.5, TID 4000)."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom import Dataset

from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import Encoding
from models.types import ExamReading


def encode_cad_sr(exam: ExamReading, sources: Mapping[str, Dataset], *, encoding: Encoding) -> Dataset:
    """Raises:
    NotEncodable: not written yet.
    """
    raise NotEncodable("not written yet")
