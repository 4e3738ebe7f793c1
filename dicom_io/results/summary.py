"""The summary page as a Secondary Capture (PS3.3 §A.8.1)."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom import Dataset

from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import Encoding
from models.types import ExamReading


def encode_summary(exam: ExamReading, sources: Mapping[str, Dataset], *, encoding: Encoding) -> Dataset:
    """Raises:
    NotEncodable: not written yet.
    """
    raise NotEncodable("not written yet")
