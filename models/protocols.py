"""The three interfaces of the pipeline; catalog.py lists the implementations that a bundle can name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind
from models.types.region import Box, Mask


class OutOfMemory(Exception):
    """This batch did not fit in the device's memory; a smaller one may fit."""


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
        """One mask per box (the detector's, not enlarged) of a lesion of this kind, in source-image pixels; None if the
        segmenter found no outline.

        Raises:
            OutOfMemory: the prompts did not fit on the device.
        """


class Classifier(Protocol):
    """Scores malignancy."""

    @property
    def scores_images_alone(self) -> bool:
        """Whether an image's score does not depend on the masks."""

    def classify(self, image: Mammogram, masks: Sequence[Mask]) -> tuple[float, list[float]]:
        """The whole image's score and one score per mask, each 0..1.

        Raises:
            OutOfMemory: the batch did not fit on the device.
        """
