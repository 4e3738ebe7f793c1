"""The models' result for one image. Probabilities are in 0..1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.types.birads import Likelihood
from models.types.region import Box, Mask


class FindingKind(StrEnum):
    """The kind of a lesion.

    A detector's classes are masses and calcifications. A mass with calcifications is a mass in which a calcification
    was found too (`calcifications_in_masses`), or that a radiologist calls so.
    """

    MASS = "mass"
    CALCIFICATION = "calcification"
    MASS_WITH_CALCIFICATIONS = "mass with calcifications"

    @property
    def basic(self) -> FindingKind:
        """The class of the detector that finds it: mass or calcification."""
        return FindingKind.MASS if self.is_mass else FindingKind.CALCIFICATION

    @property
    def is_mass(self) -> bool:
        """Whether it is a mass, with calcifications or without."""
        return self is not FindingKind.CALCIFICATION

    @property
    def in_words(self) -> str:
        """For labels: "mass", "calcifications", "mass with calcifications"."""
        return "calcifications" if self is FindingKind.CALCIFICATION else self.value


def calcifications_in_masses(boxes: Sequence[Box], kinds: Sequence[FindingKind]) -> dict[int, int]:
    """For each calcification in a mass, its number → the number of that mass.

    A calcification (a cluster of them) lies in a mass if the centre of its box lies in the mass's box; of several such
    masses it is in the smallest, of equal ones in the first.

    Args:
        boxes: the lesions of one image.
        kinds: of each.
    """
    masses = sorted(
        (number for number, kind in enumerate(kinds) if kind.is_mass), key=lambda number: boxes[number].area_px
    )
    within = {}
    for number, kind in enumerate(kinds):
        around = [] if kind.is_mass else [mass for mass in masses if boxes[mass].holds_centre_of(boxes[number])]
        if around:
            within[number] = around[0]
    return within


def told_apart(boxes: Sequence[Box], kinds: Sequence[FindingKind]) -> list[FindingKind]:
    """The kinds of one image's lesions, where masses that have calcifications in them are called so."""
    calcified = set(calcifications_in_masses(boxes, kinds).values())
    return [FindingKind.MASS_WITH_CALCIFICATIONS if number in calcified else kind for number, kind in enumerate(kinds)]


@dataclass(frozen=True)
class Detection:
    """A detector's proposal: its box, its kind, and its confidence (0..1)."""

    box: Box
    kind: FindingKind
    confidence: float


@dataclass(frozen=True, eq=False)
class Finding:
    """One lesion in one image.

    Attributes:
        box: the detector's box (not enlarged).
        mask: the segmenter's outline; never empty.
        confidence: the detector's, 0..1, that there is a lesion; not that it is malignant.
        malignancy: the classifier's score for malignancy, 0..1.
        likelihood: of malignancy; None if lesions are not calibrated.
        doubt: why the outline may be wrong, one sentence; empty if there is no known reason.
    """

    kind: FindingKind
    box: Box
    mask: Mask
    confidence: float
    malignancy: float
    likelihood: Likelihood | None = None
    doubt: str = ""


@dataclass(frozen=True)
class BundleId:
    """Name and version of the bundle that read an image; stated in every result."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, eq=False)
class ImageReading:
    """The models' result for one image.

    Attributes:
        findings: by descending malignancy.
        malignancy: the image's score, 0..1.
        shape: rows, columns of the image read.
        bundle: the models.
        seconds: the duration of each stage, by its name (decode, detect, segment, classify).
        warnings: sentences for the report.
        likelihood: of malignancy in the image; None if images are not calibrated.
        as_breast: of malignancy in the breast, if this image's score is the breast's; None if breasts are not
            calibrated.
        as_exam: the same for the exam.
        prevalence: the share of exams with a cancer (0..1) for which all likelihoods of this reading are valid; None if
            nothing is calibrated.
        caveat: the bundle's sentence on the error of these probabilities on held-out patients; empty without one.
        spacing_mm: (row, column) of the Mammogram; None if it was not known, even if one was assumed.
        spacing_by: the source of the spacing, for the report; "" if it was not known, or in readings stored by older
            versions.
        nipple: (row, column) in source-image pixels, estimated from the breast's outline; None if it was not found.
        preview: the image as it was read, uint8, display polarity, at most PREVIEW_ROWS rows; None in readings stored
            by older versions.
        tones: of the Mammogram; None in readings stored by older versions.
        calibration_holds: of the Mammogram, also False for one that shows only a part: then all likelihoods are None.
    """

    findings: tuple[Finding, ...]
    malignancy: float
    shape: tuple[int, int]
    bundle: BundleId
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    likelihood: Likelihood | None = None
    as_breast: Likelihood | None = None
    as_exam: Likelihood | None = None
    prevalence: float | None = None
    caveat: str = ""
    spacing_mm: tuple[float, float] | None = None
    spacing_by: str = ""
    nipple: tuple[int, int] | None = None
    preview: NDArray[np.uint8] | None = None
    tones: NDArray[Any] | None = None
    calibration_holds: bool = True


PREVIEW_ROWS = 960
