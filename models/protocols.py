"""The three interfaces of the pipeline; catalog.py lists the implementations that a bundle can name.

Each works on several images at once. What it finds in one depends on no other, up to rounding: a score by 0.0001, a
mask by one pixel in 10,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from models.errors import UserError
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind
from models.types.region import Box, Mask


class OutOfMemory(Exception):
    """This batch did not fit in the device's memory; a smaller one may fit."""


class NotFinite(UserError):
    """A network or a model gave NaN, or an infinite score: nothing is known of the image, least of all that it is not
    suspicious."""


@dataclass(frozen=True, eq=False)
class ToOutline:
    """An image and the lesions to outline in it.

    Attributes:
        lesions: the box (the detector's, not enlarged; in source-image pixels) and the kind of each.
    """

    image: Mammogram
    lesions: Sequence[tuple[Box, FindingKind]]


@dataclass(frozen=True, eq=False)
class ToScore:
    """An image and its lesions' masks."""

    image: Mammogram
    masks: Sequence[Mask]


class Detector(Protocol):
    """Finds lesions."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        """Lesions of each image, most confident first, in source-image pixels.

        Raises:
            OutOfMemory: the batch did not fit on the device.
        """


class Segmenter(Protocol):
    """Outlines lesions."""

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        """For each image, one mask per lesion in source-image pixels; None if the segmenter found no outline.

        Raises:
            OutOfMemory: the batch did not fit on the device.
        """


class Classifier(Protocol):
    """Scores malignancy."""

    @property
    def scores_images_alone(self) -> bool:
        """Whether an image's score does not depend on the masks."""

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        """For each image, the whole image's score and one score per mask, each 0..1.

        Raises:
            OutOfMemory: the batch did not fit on the device.
        """


class OneImageSegmenter(Protocol):
    """A Segmenter of one image at a time: what another package offers (models/extensions.py)."""

    def segment(self, image: Mammogram, boxes: Sequence[Box], kinds: Sequence[FindingKind]) -> list[Mask | None]:
        """One mask per box (the detector's, not enlarged) of a lesion of this kind, in source-image pixels; None if the
        segmenter found no outline."""


class OneImageClassifier(Protocol):
    """A Classifier of one image at a time: what another package offers."""

    @property
    def scores_images_alone(self) -> bool:
        """Whether an image's score does not depend on the masks."""

    def classify(self, image: Mammogram, masks: Sequence[Mask]) -> tuple[float, list[float]]:
        """The whole image's score and one score per mask, each 0..1."""
