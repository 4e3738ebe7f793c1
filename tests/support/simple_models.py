"""Models that give the same result for every image: for tests of the code around models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.birads.calibration import Calibration, Level
from models.pipeline import Pipeline
from models.protocols import ToOutline, ToScore
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

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        return [[_whole(box) for box, _ in asked.lesions] for asked in images]

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        return [(self.score(asked.image), [self.score(asked.image)] * len(asked.masks)) for asked in images]

    def score(self, image: Mammogram) -> float:
        """Of an image and of each mask in it."""
        return self.malignancy


class Nothing(OneMass):
    """Detects no lesion."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        return [() for _ in images]


def _whole(box: Box) -> Mask:
    return Mask(box, np.ones((box.height, box.width), dtype=np.bool_))


def middle(image: Mammogram) -> Box:
    rows, columns = image.shape
    return Box(rows // 3, columns // 3, rows // 2, columns // 2)


def pipeline_of(models: OneMass, calibration: Mapping[Level, Calibration] | None = None) -> Pipeline:
    return Pipeline(
        models, models, models, BUNDLE, assumed_spacing_mm=0.1, clock=lambda: 0.0, calibration=calibration or {}
    )
