"""What the models say of one image. Probabilities are in 0..1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.types.birads import Likelihood
from models.types.region import Box, Mask


class FindingKind(StrEnum):
    """What a lesion is, as far as the detector's classes tell."""

    MASS = "mass"
    CALCIFICATION = "calcification"


@dataclass(frozen=True)
class Detection:
    """A detector's proposal: where, what, and how sure (confidence 0..1)."""

    box: Box
    kind: FindingKind
    confidence: float


@dataclass(frozen=True, eq=False)
class Finding:
    """One lesion in one image.

    Attributes:
        box: the detector's box (not enlarged).
        mask: the segmenter's outline; never empty.
        confidence: the detector's, 0..1. How sure it is that a lesion is there, not that it is malignant.
        malignancy: the classifier's score for malignancy, 0..1.
        likelihood: of malignancy; None where lesions are not calibrated.
        doubt: why the outline may be wrong, one sentence; empty where there is no known reason.
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
    """Which models read an image: they stand in every result."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, eq=False)
class ImageReading:
    """What the models say of one image.

    Attributes:
        findings: by falling malignancy.
        malignancy: the image's score, 0..1.
        shape: rows, columns of the image read.
        bundle: the models.
        seconds: what each stage took, by its name (decode, detect, segment, classify).
        warnings: sentences for the report.
        likelihood: of malignancy in the image; None where images are not calibrated.
        as_breast: what the image's score is worth where it stands for its breast; None where breasts are not
            calibrated.
        as_exam: the same for the exam.
        prevalence: the share of exams with a cancer (0..1) that all likelihoods of this reading hold for; None where
            nothing is calibrated.
        caveat: one sentence on how far these probabilities were off on held-out patients, as the bundle's card has it;
            empty where it does not say so.
        spacing_mm: (row, column) as the Mammogram had it; None where it was not known, also where one was assumed.
        spacing_by: how it was found, for the report; "" where it was not, or in readings stored before it was told.
        nipple: (row, column) in source-image pixels, as estimated from the breast's outline; None where it was not
            found.
        preview: the image as it was read, uint8, display polarity, at most PREVIEW_ROWS rows; None in readings stored
            before there were any.
        tones: as the Mammogram had them; None in readings stored before there were any.
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


PREVIEW_ROWS = 960
