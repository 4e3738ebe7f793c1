"""Models that give the same result for every image: for tests of the code around models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.birads.calibration import Calibration, Level
from models.pipeline import Pipeline
from models.types.mammogram import Mammogram
from models.types.reading import BundleId, Detection, FindingKind
from models.types.region import Box, Mask

BUNDLE = BundleId("test", "1")


@dataclass(frozen=True)
class OneMass:
    """Detector, segmenter and classifier in one: a mass in the middle of every image that is not completely dark."""

    malignancy: float = 0.5

    @property
    def scores_images_alone(self) -> bool:
        return True

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        return [
            (Detection(middle(image), FindingKind.MASS, 0.9),) if image.pixels.max() > 0 else () for image in images
        ]

    def segment(self, image: Mammogram, boxes: Sequence[Box], kinds: Sequence[FindingKind]) -> list[Mask | None]:
        return [Mask(box, np.ones((box.height, box.width), dtype=np.bool_)) for box in boxes]

    def classify(self, image: Mammogram, masks: Sequence[Mask]) -> tuple[float, list[float]]:
        return self.malignancy, [self.malignancy for _ in masks]


class Nothing(OneMass):
    """Detects no lesion."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        return [() for _ in images]


def middle(image: Mammogram) -> Box:
    rows, columns = image.shape
    return Box(rows // 3, columns // 3, rows // 2, columns // 2)


def pipeline_of(models: OneMass, calibration: Mapping[Level, Calibration] | None = None) -> Pipeline:
    return Pipeline(
        models, models, models, BUNDLE, assumed_spacing_mm=0.1, clock=lambda: 0.0, calibration=calibration or {}
    )
