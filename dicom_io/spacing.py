"""Decides the pixel spacing in the breast."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from dicom_io.attributes import code, numbers
from dicom_io.image_types import MAGNIFIED
from dicom_io.magnification import Magnification, by_distances, magnification_of
from dicom_io.views import extent_of, functional_groups, is_said_to_be_magnified

# Detectors and film scanners for mammography have 0.025 to 0.2 mm; outside these bounds the header is wrong.
_PLAUSIBLE_MM = (0.01, 0.5)
_ALIKE = 0.01
"""Two spacings are equal if they differ by at most this part."""

Pair = tuple[float, float]


@dataclass(frozen=True)
class Spacing:
    """The distance between pixel centres in the breast.

    Attributes:
        mm: between rows, between columns; None if lengths cannot be measured.
        by: the source of the spacing, for the report; "" if there is none.
        warnings: sentences for the report.
    """

    mm: Pair | None
    by: str = ""
    warnings: tuple[str, ...] = ()


def spacing_of(dataset: Dataset) -> Spacing:
    """The spacing in the breast (PS3.3 §10.7 and §C.8.11.4; for film §C.8.6.1).

    The first of these that the header states: Pixel Spacing that was calibrated by an object of known size (FIDUCIAL)
    or corrected for the geometry (GEOMETRY, or the Pixel Measures of a tomosynthesis), which are spacings in the
    breast already; else the spacing at the detector (Imager Pixel Spacing, Pixel Spacing or Nominal Scanned Pixel
    Spacing) divided by the magnification factor (`magnification_of`). A magnification or spot view without a stated
    factor has no spacing (safety rule 6).
    """
    factor, warnings = _magnification(dataset)
    found = _calibrated(dataset, factor) or _at_detector(dataset, factor)
    if found.mm is not None and not all(_PLAUSIBLE_MM[0] <= mm <= _PLAUSIBLE_MM[1] for mm in found.mm):
        found = Spacing(None, warnings=("The header's pixel spacing is not that of a mammogram and was not used.",))
    return Spacing(found.mm, found.by, (*warnings, *found.warnings))


def aspect_of(dataset: Dataset) -> tuple[float, float]:
    """Height and width of a pixel, in any unit: by the first spacing that the header states, or Pixel Aspect Ratio
    (0028,0034); (1, 1) if it states none."""
    for keyword in ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        if stated := _pair(dataset, keyword):
            return stated
    return _pixel_measures(dataset) or (1.0, 1.0)


def _magnification(dataset: Dataset) -> tuple[Magnification, list[str]]:
    found, warnings = magnification_of(dataset), []
    if found.dropped is not None:
        warnings.append(f"The header's magnification factor {found.dropped:g} is impossible: not used.")
    if is_said_to_be_magnified(dataset) and found.factor is not None and not found.is_large:
        warnings.append(
            f"The header says that the view is magnified, but {found.by} {found.factor:.3g} fits a contact view: "
            "not used."
        )
        distances = by_distances(dataset)
        found = distances if distances.is_large else Magnification(None)
    return found, warnings


def _calibrated(dataset: Dataset, factor: Magnification) -> Spacing | None:
    """The spacing that is stated for the breast itself; None if the header has none."""
    stated, kind = _pair(dataset, "PixelSpacing"), code(dataset, "PixelSpacingCalibrationType")
    if stated and kind == "FIDUCIAL":
        return Spacing(stated, "Pixel Spacing, calibrated by an object of known size (FIDUCIAL)")
    if stated and kind == "GEOMETRY":
        detector = _pair(dataset, "ImagerPixelSpacing")
        if factor.is_large and detector and _are_alike(stated, detector):
            return None  # equal to the detector spacing: not corrected, whatever the type says
        return Spacing(stated, "Pixel Spacing, corrected for magnification by the device (GEOMETRY)")
    if measured := _pixel_measures(dataset):
        return Spacing(measured, "Pixel Spacing of the Pixel Measures, in the breast")
    return None


def _at_detector(dataset: Dataset, magnification: Magnification) -> Spacing:
    """The spacing at the detector, converted to the breast."""
    names = {
        "ImagerPixelSpacing": "Imager Pixel Spacing",
        "PixelSpacing": "Pixel Spacing (not calibrated)",
        "NominalScannedPixelSpacing": "Nominal Scanned Pixel Spacing of the film",
    }
    known = ((name, stated) for keyword, name in names.items() if (stated := _pair(dataset, keyword)))
    name, stated = next(known, ("", None))
    if stated is None:
        return Spacing(None)
    if (factor := magnification.factor) is not None:
        by = f"{name}, divided by {magnification.by} {factor:.4g}" if factor > 1 else f"{name} ({magnification.by}: 1)"
        return Spacing((stated[0] / factor, stated[1] / factor), by)
    if MAGNIFIED in extent_of(dataset):
        return Spacing(
            None, warnings=("The header does not state how far the view is magnified: no lengths are given.",)
        )
    return Spacing(stated, f"{name} at the detector")


def _pixel_measures(dataset: Dataset) -> Pair | None:
    found = (_pair(measures, "PixelSpacing") for measures in functional_groups(dataset, "PixelMeasuresSequence"))
    return next(filter(None, found), None)


def _pair(dataset: Dataset, keyword: str) -> Pair | None:
    stated = numbers(dataset, keyword)
    return (stated[0], stated[1]) if len(stated) == 2 and min(stated) > 0 else None


def _are_alike(left: Pair, right: Pair) -> bool:
    return all(abs(a - b) <= _ALIKE * b for a, b in zip(left, right, strict=True))
