"""A detector that proposes the brightest spot of each breast: it shows the form, and finds nothing of worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch

from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind
from models.types.region import Box


class BrightestSpot:
    """See `models.protocols.Detector`."""

    def __init__(self, sharpness: float, side_px: int) -> None:
        self._sharpness, self._side_px = sharpness, side_px

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        return [self._detect(image) for image in images]

    def _detect(self, image: Mammogram) -> tuple[Detection, ...]:
        smooth = cv2.GaussianBlur(image.pixels, (0, 0), self._sharpness)
        row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
        rows, columns = image.shape
        top, left = max(0, int(row) - self._side_px // 2), max(0, int(column) - self._side_px // 2)
        box = Box(top, left, min(rows, top + self._side_px), min(columns, left + self._side_px))
        return (Detection(box, FindingKind.MASS, float(smooth.max().clip(0, 1))),)


def load(
    weights: Mapping[str, torch.Tensor], device: torch.device, mixed_precision: bool, *, side_px: int = 100
) -> BrightestSpot:
    """Builds the detector.

    Args:
        weights: of the bundle's safetensors file: here one number, `sharpness`.
        device: where networks run.
        mixed_precision: whether they may use half precision.
        side_px: a setting, from [detector.settings] in bundle.toml.
    """
    return BrightestSpot(float(weights["sharpness"]), side_px)
