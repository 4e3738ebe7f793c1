"""The assumed pixel spacing of images that state none: the same rule for reading, training and evaluation.

A mammogram is at most as large as its receptor, 18 × 24 or 24 × 30 cm. An image that would be larger with a detector's
spacing is a scanned film, if it is not known to be digital: scanners for mammography have a spacing of 0.042 to
0.05 mm.
"""

from __future__ import annotations

from types import MappingProxyType

from models.types.mammogram import Mammogram

FORMATS_MM = ((180, 240), (240, 300))
"""Short and long side of films and detectors."""
DIGITISERS_MM = MappingProxyType({"DBA": 0.042, "HOWTEK": 0.0435, "LUMISYS": 0.050})
"""Spacing of DDSM's film scanners (Heath et al. 2001; CBIS-DDSM's films are the same)."""
FILM_MM = DIGITISERS_MM["HOWTEK"]
"""Spacing for a film whose scanner is not known: the middle one, with an error of at most 13 %."""
_ROOM = 1.03
"""Detectors are larger than their nominal format by up to this factor (GE 24 × 30.6 cm)."""


def assumed_spacing_mm(shape: tuple[int, int], detector_mm: float, film: bool | None = None) -> float:
    """The spacing to assume, in mm: `detector_mm` if the image then fits a receptor, else a film's (not for a digital
    image), else the largest one with which it fits.

    Args:
        shape: rows, columns of the image.
        film: see `Mammogram`.
        detector_mm: the spacing that a bundle or recipe assumes for digital images (`assumed_spacing_mm`).
    """
    if _fits(shape, detector_mm):
        return detector_mm
    if film is not False and _fits(shape, FILM_MM):
        return FILM_MM
    return max(min(short / min(shape), long / max(shape)) for short, long in FORMATS_MM)


def _fits(shape: tuple[int, int], mm: float) -> bool:
    return any(min(shape) * mm <= _ROOM * short and max(shape) * mm <= _ROOM * long for short, long in FORMATS_MM)


def with_spacing(image: Mammogram, detector_mm: float) -> Mammogram:
    """The image; if it has no spacing, with the assumed one (the same for rows and columns). If it is also not known
    whether it is a film, it is one where a detector's spacing does not fit."""
    if image.spacing_mm is not None:
        return image
    film = image.film if image.film is not None else not _fits(image.shape, detector_mm)
    return image.stating(spacing_mm=known_or_assumed(image, detector_mm), film=film)


def known_or_assumed(image: Mammogram, detector_mm: float) -> tuple[float, float]:
    """(row, column) spacing in mm: the image's own, or the assumed one."""
    if image.spacing_mm is not None:
        return image.spacing_mm
    mm = assumed_spacing_mm(image.shape, detector_mm, image.film)
    return mm, mm
