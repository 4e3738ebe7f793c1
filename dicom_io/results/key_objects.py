"""Key Object Selection (PS3.3 §A.35.4)."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom import Dataset

from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import Encoding
from models.types import ExamReading


def encode_key_objects(exam: ExamReading, sources: Mapping[str, Dataset], *, encoding: Encoding) -> Dataset:
    """Raises:
    NotEncodable: not written yet.
    """
    raise NotEncodable("not written yet")
