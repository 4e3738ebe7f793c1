"""The three seams of the pipeline: whatever fills them can be configured (see catalog.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind
from models.types.region import Box, Mask


class OutOfMemory(Exception):
    """The device's memory did not hold this batch; a smaller one may fit."""


class Detector(Protocol):
    """Finds lesions."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        """Lesions of each image, most confident first, in source-image pixels.

        Raises:
            OutOfMemory: the batch did not fit on the device.
        """


class Segmenter(Protocol):
    """Outlines lesions."""

    def segment(self, image: Mammogram, boxes: Sequence[Box], kinds: Sequence[FindingKind]) -> list[Mask | None]:
        """One mask a box (the detector's, not enlarged) of a lesion of this kind, in source-image pixels; None where
        nothing was drawn.

        Raises:
            OutOfMemory: the prompts did not fit on the device.
        """


class Classifier(Protocol):
    """Scores malignancy."""

    @property
    def scores_images_alone(self) -> bool:
        """Whether an image's score is the same whatever masks come with it."""

    def classify(self, image: Mammogram, masks: Sequence[Mask]) -> tuple[float, list[float]]:
        """The whole image's score and one score a mask, each 0..1.

        Raises:
            OutOfMemory: the batch did not fit on the device.
        """
