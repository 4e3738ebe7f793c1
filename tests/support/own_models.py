"""What a package of someone else may offer: models of one image at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box, Mask


class WholeBoxes:
    """Outlines a mass by its box, and nothing else."""

    def segment(self, image: Mammogram, boxes: Sequence[Box], kinds: Sequence[FindingKind]) -> list[Mask | None]:
        assert boxes, "it is asked for nothing"
        return [
            Mask(box, np.ones((box.height, box.width), dtype=np.bool_)) if kind.is_mass else None
            for box, kind in zip(boxes, kinds, strict=True)
        ]


@dataclass
class Brightness:
    """The brighter, the higher the score."""

    device: torch.device
    mixed_precision: bool
    factor: float
    scores_images_alone = True

    def classify(self, image: Mammogram, masks: Sequence[Mask]) -> tuple[float, list[float]]:
        return self.factor * float(image.pixels.mean()), [float(image.pixels[mask.box.slices].max()) for mask in masks]


def load_segmenter(weights: Mapping[str, torch.Tensor], device: torch.device, mixed_precision: bool) -> WholeBoxes:
    return WholeBoxes()


def load_classifier(
    weights: Mapping[str, torch.Tensor], device: torch.device, mixed_precision: bool, *, factor: float
) -> Brightness:
    return Brightness(device, mixed_precision, factor)
