"""How much larger than life the breast stands on the detector."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from dicom_io.attributes import number

_LARGEST = 4.0
"""Magnification stands go to 2; what is beyond, is no factor (some devices write per cent)."""
_LARGEST_CONTACT = 1.2
"""A contact view stands a few centimetres above the detector (1.02 to 1.1); magnification stands begin at 1.4."""


@dataclass(frozen=True)
class Magnification:
    """The factor, by what the header says.

    Attributes:
        factor: at least 1; None where the header states none that a geometry could have.
        by: where it stands, for the report.
        dropped: a factor that no geometry has, as stated; None where there is none.
    """

    factor: float | None
    by: str = ""
    dropped: float | None = None

    @property
    def is_large(self) -> bool:
        """More than a contact view's."""
        return self.factor is not None and self.factor > _LARGEST_CONTACT


def magnification_of(dataset: Dataset) -> Magnification:
    """By Estimated Radiographic Magnification Factor (0018,1114); where it is not there or impossible, by the distances
    of the detector (0018,1110) and of the breast (0018,1111) from the source, whose ratio it is."""
    stated = number(dataset, "EstimatedRadiographicMagnificationFactor")
    if stated is not None and 1 <= stated <= _LARGEST:
        return Magnification(stated, "the magnification factor")
    return by_distances(dataset, dropped=stated)


def by_distances(dataset: Dataset, dropped: float | None = None) -> Magnification:
    """The factor by the distances alone."""
    detector, breast = number(dataset, "DistanceSourceToDetector"), number(dataset, "DistanceSourceToPatient")
    if detector is not None and breast is not None and 0 < breast <= detector <= _LARGEST * breast:
        return Magnification(detector / breast, "the distances from the source", dropped)
    return Magnification(None, dropped=dropped)
