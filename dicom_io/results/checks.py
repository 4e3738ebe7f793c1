"""The last look at a profile's objects before they leave: geometry and references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydicom import Dataset

from dicom_io.results.profiles import ResultKind
from models.types import ExamReading


def check_together(
    objects: Sequence[tuple[ResultKind, Dataset]],
    exam: ExamReading,
    sources: Mapping[str, Dataset],
    predecessor: Dataset | None,
) -> None:
    """Nothing, where all is well."""
