"""Cases as a detector is trained and measured on them: read once, framed as the node frames them, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.anatomy.breast import breast_box
from models.datasets.case import Case, Lesion
from models.framing import Frame, Size, frame
from models.training.augment import Picture
from models.types.reading import FindingKind
from models.types.region import Box, Mask

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Framed:
    """An image to be measured on: as the network sees it, and what is to be found in it.

    Attributes:
        patient: whose it is.
        shown: the frame.
        lesions: boxes in source pixels.
    """

    patient: str
    shown: Frame
    lesions: tuple[Box, ...]


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """An image to be trained on, a quarter of a `Picture`'s size.

    Attributes:
        levels: rows × columns, the frame's greys in 255 steps.
        outlines, kinds: see `Picture`.
    """

    levels: NDArray[np.uint8]
    outlines: tuple[NDArray[np.float32], ...]
    kinds: tuple[int, ...]

    @property
    def picture(self) -> Picture:
        return Picture(self.levels.astype(np.float32) / np.float32(255), self.outlines, self.kinds)


def framed(cases: Sequence[Case], size: Size, workers: int) -> list[Framed]:
    """Every case in a frame of this size, in their order; so many are read at a time.

    Raises:
        DatasetError: a case cannot be read.
    """

    def one(case: Case) -> Framed:
        shown, lesions = _read(case, size)
        return Framed(case.patient, shown, tuple(lesion.mask.box for lesion in lesions))

    return _each(cases, one, workers)


def training_images(
    cases: Sequence[Case], size: Size, kinds: Sequence[FindingKind], workers: int
) -> list[TrainingImage]:
    """Every case as a training picture; `kinds` are the classes in the order of their numbers. See `framed`."""

    def one(case: Case) -> TrainingImage:
        shown, lesions = _read(case, size)
        drawn = [(outline(lesion.mask, shown), kinds.index(lesion.kind)) for lesion in lesions]
        drawn = [(points, kind) for points, kind in drawn if len(points)]
        levels = np.round(shown.pixels * 255).astype(np.uint8)
        return TrainingImage(levels, tuple(points for points, _ in drawn), tuple(kind for _, kind in drawn))

    return _each(cases, one, workers)


def outline(mask: Mask, shown: Frame) -> NDArray[np.float32]:
    """Points round a lesion, x and y in frame pixels; none where nothing of it lies in the frame."""
    found, _ = cv2.findContours(shown.draw(mask).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = [one.reshape(-1, 2) for one in found]
    return np.concatenate(points).astype(np.float32) if points else np.zeros((0, 2), dtype=np.float32)


def _read(case: Case, size: Size) -> tuple[Frame, tuple[Lesion, ...]]:
    image = case.read()
    return frame(image.pixels, breast_box(image.pixels), size), case.read_lesions(image)


def _each(cases: Sequence[Case], work: Callable[[Case], Made], workers: int) -> list[Made]:
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return list(pool.map(work, cases))
