"""Two detectors as one: that of the whole breast, and that of microcalcifications at native resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from models.detectors.grains import GrainDetector
from models.protocols import Detector
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind


class BothDetectors:
    """See `models.protocols.Detector`.

    In an image whose pixels are fine enough for calcifications, these are the grain detector's alone; in a coarser one
    they are what the whole-breast detector takes for them. Which masses have calcifications in them is told once it is
    known which of both the reading holds (`models.pipeline`).

    Args:
        thresholds: the confidences from which on each of the two shows what it finds. The grain detector's are put on
            the other's scale: a power of them, which puts its threshold at the whole-breast detector's.
    """

    def __init__(self, breast: Detector, calcifications: GrainDetector, thresholds: tuple[float, float]) -> None:
        self._breast, self._calcifications = breast, calcifications
        of_breast, of_grains = (math.log(min(0.999, max(0.001, threshold))) for threshold in thresholds)
        self._power = of_breast / of_grains

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        """Lesions of each image, the most confident first."""
        breasts, clusters = self._breast.detect(images), self._calcifications.detect(images)
        return [
            self._together(image, in_breast, marked)
            for image, in_breast, marked in zip(images, breasts, clusters, strict=True)
        ]

    def _together(
        self, image: Mammogram, in_breast: Sequence[Detection], marked: Sequence[Detection]
    ) -> tuple[Detection, ...]:
        if self._calcifications.sees(image):
            in_breast = [found for found in in_breast if found.kind is not FindingKind.CALCIFICATION]
        clusters = [replace(found, confidence=found.confidence**self._power) for found in marked]
        return tuple(sorted((*in_breast, *clusters), key=lambda found: -found.confidence))
