"""Tells scanned films from images of digital detectors, by the header."""

from __future__ import annotations

from pydicom import Dataset

from dicom_io.attributes import code, numbers
from dicom_io.headers import kind_of
from dicom_io.instance_kinds import InstanceKind


def is_film(dataset: Dataset) -> bool | None:
    """Whether the image is a scanned film; False: a digital detector made it; None: the header does not say.

    A film has the Conversion Type DF (PS3.3 §C.8.6.1), the Detector Type FILM (§C.8.11.4) or a Nominal Scanned Pixel
    Spacing (§C.8.6.1.1). Else a detector is known by its Detector Type or by Imager Pixel Spacing. Else a secondary
    capture counts as a film: those of breasts mostly are.
    """
    detector = code(dataset, "DetectorType")
    if code(dataset, "ConversionType") == "DF" or detector == "FILM" or numbers(dataset, "NominalScannedPixelSpacing"):
        return True
    if detector or numbers(dataset, "ImagerPixelSpacing"):
        return False
    return True if kind_of(dataset) is InstanceKind.SECONDARY_CAPTURE else None
