"""The magnification factor: size of the breast on the detector divided by its real size."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from dicom_io.attributes import number

_LARGEST = 4.0
"""Magnification stands reach 2. A much larger value is no factor (some devices write per cent)."""
_LARGEST_CONTACT = 1.2
"""In a contact view the breast is a few centimetres above the detector (1.02 to 1.1); stands begin at 1.4."""


@dataclass(frozen=True)
class Magnification:
    """The magnification factor that the header states.

    Attributes:
        factor: at least 1; None if the header states none that is possible.
        by: the source of the factor, for the report.
        dropped: the stated factor if it is impossible; else None.
    """

    factor: float | None
    by: str = ""
    dropped: float | None = None

    @property
    def is_large(self) -> bool:
        """Whether the factor is larger than that of a contact view."""
        return self.factor is not None and self.factor > _LARGEST_CONTACT


def magnification_of(dataset: Dataset) -> Magnification:
    """Estimated Radiographic Magnification Factor (0018,1114); if it is absent or impossible, the ratio of Distance
    Source to Detector (0018,1110) and Distance Source to Patient (0018,1111)."""
    stated = number(dataset, "EstimatedRadiographicMagnificationFactor")
    if stated is not None and 1 <= stated <= _LARGEST:
        return Magnification(stated, "the magnification factor")
    return by_distances(dataset, dropped=stated)


def by_distances(dataset: Dataset, dropped: float | None = None) -> Magnification:
    """The ratio of the distances."""
    detector, breast = number(dataset, "DistanceSourceToDetector"), number(dataset, "DistanceSourceToPatient")
    if detector is not None and breast is not None and 0 < breast <= detector <= _LARGEST * breast:
        return Magnification(detector / breast, "the distances from the source", dropped)
    return Magnification(None, dropped=dropped)
