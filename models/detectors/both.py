"""Two detectors as one: that of the whole breast, and that of microcalcifications at native resolution."""

from __future__ import annotations

from collections.abc import Sequence

from models.detectors.grains import GrainDetector
from models.protocols import Detector
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind


class BothDetectors:
    """See `models.protocols.Detector`.

    In an image whose pixels are fine enough for calcifications, these are the grain detector's alone; in a coarser one
    they are what the whole-breast detector takes for them. Which masses have calcifications in them is told once it is
    known which of both the reading holds (`models.pipeline`).
    """

    def __init__(self, breast: Detector, calcifications: GrainDetector) -> None:
        self._breast, self._calcifications = breast, calcifications

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        """Lesions of each image, the most confident first; the two detectors' confidences do not compare."""
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
        return tuple(sorted((*in_breast, *marked), key=lambda found: -found.confidence))
