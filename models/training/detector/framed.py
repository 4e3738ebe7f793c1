"""Images for training and validating a detector: read once, framed as in the node, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.case import Case, Lesion
from models.framing import Frame, Framing
from models.training.augment import Picture
from models.types.reading import FindingKind
from models.types.region import Box, Mask

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Framed:
    """A validation image: the network's input and the true lesions.

    Attributes:
        patient: of the image (`Case.patient`).
        shown: the frame.
        lesions: boxes in source pixels.
    """

    patient: str
    shown: Frame
    lesions: tuple[Box, ...]


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """A training image, in a quarter of a `Picture`'s memory.

    Attributes:
        dataset: the data set that it belongs to.
        levels: rows × columns, the frame's greys as integers, 0 to 255.
        outlines, kinds: see `Picture`.
    """

    dataset: str
    levels: NDArray[np.uint8]
    outlines: tuple[NDArray[np.float32], ...]
    kinds: tuple[int, ...]

    @property
    def picture(self) -> Picture:
        return Picture(self.levels.astype(np.float32) / np.float32(255), self.outlines, self.kinds)


def framed(cases: Sequence[Case], framing: Framing, workers: int) -> list[Framed]:
    """Every case in a frame, in the cases' order.

    Args:
        framing: makes the frame of an image.
        workers: number of threads that read.

    Raises:
        DatasetError: a case cannot be read.
    """

    def validation_image(case: Case) -> Framed:
        shown, lesions = _read(case, framing)
        return Framed(case.patient, shown, tuple(lesion.mask.box for lesion in lesions))

    return _each(cases, validation_image, workers)


def training_images(
    cases: Sequence[Case], framing: Framing, kinds: Sequence[FindingKind], workers: int
) -> list[TrainingImage]:
    """Every case as a training image; `kinds` are the classes in the order of their numbers. See `framed`."""

    def training_image(case: Case) -> TrainingImage:
        shown, lesions = _read(case, framing)
        drawn = [(outline(lesion.mask, shown), kinds.index(lesion.kind.basic)) for lesion in lesions]
        drawn = [(points, kind) for points, kind in drawn if len(points)]
        levels = np.round(shown.pixels * 255).astype(np.uint8)
        return TrainingImage(
            case.dataset, levels, tuple(points for points, _ in drawn), tuple(kind for _, kind in drawn)
        )

    return _each(cases, training_image, workers)


def outline(mask: Mask, shown: Frame) -> NDArray[np.float32]:
    """The contour points of a lesion (n × 2): x and y in frame pixels; n is 0 if the frame shows nothing of it."""
    contours, _ = cv2.findContours(shown.draw(mask).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = [contour.reshape(-1, 2) for contour in contours]
    return np.concatenate(points).astype(np.float32) if points else np.zeros((0, 2), dtype=np.float32)


def _read(case: Case, framing: Framing) -> tuple[Frame, tuple[Lesion, ...]]:
    image = case.read()
    return framing(image), case.read_lesions(image)


def _each(cases: Sequence[Case], work: Callable[[Case], Made], workers: int) -> list[Made]:
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return list(pool.map(work, cases))
