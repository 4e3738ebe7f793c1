"""Images for training and validating a detector: read once, framed as in the node (kept.py)."""

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
from models.training.kept import IN_MEMORY, Arrays, Kept
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


def framed(cases: Sequence[Case], framing: Framing, workers: int, kept: Kept = IN_MEMORY) -> list[Framed]:
    """Every case in a frame, in the cases' order.

    Args:
        framing: makes the frame of an image.
        workers: number of threads that read.
        kept: holds the frames.

    Raises:
        DatasetError: a case cannot be read.
    """

    def made(case: Case) -> Arrays:
        shown, lesions = _read(case, framing)
        return {
            "pixels": shown.pixels,
            "part": np.array([_corners(shown.part)]),
            "scale": np.array([shown.scale]),
            "origin": np.array([shown.top, shown.left]),
            "lesions": np.array([_corners(lesion.mask.box) for lesion in lesions], dtype=np.int64).reshape(-1, 4),
        }

    def validation_image(case: Case) -> Framed:
        arrays = kept.of(f"validation/{case.dataset}/{case.name}", lambda: made(case))
        ((part,), lesions) = (_boxes(arrays[name]) for name in ("part", "lesions"))
        top, left = (int(place) for place in arrays["origin"])
        shown = Frame(np.asarray(arrays["pixels"], np.float32), part, float(arrays["scale"][0]), top, left)
        return Framed(case.patient, shown, tuple(lesions))

    return _each(cases, validation_image, workers)


def training_images(
    cases: Sequence[Case],
    framing: Framing,
    kinds: Sequence[FindingKind],
    workers: int,
    kept: Kept = IN_MEMORY,
) -> list[TrainingImage]:
    """Every case as a training image; `kinds` are the classes in the order of their numbers. See `framed`."""

    def made(case: Case) -> Arrays:
        shown, lesions = _read(case, framing)
        drawn = [(outline(lesion.mask, shown), kinds.index(lesion.kind.basic)) for lesion in lesions]
        drawn = [(points, kind) for points, kind in drawn if len(points)]
        return {
            "levels": np.round(shown.pixels * 255).astype(np.uint8),
            "kinds": np.array([kind for _, kind in drawn], dtype=np.int64),
            **{f"outline {number}": points for number, (points, _) in enumerate(drawn)},
        }

    def training_image(case: Case) -> TrainingImage:
        arrays = kept.of(f"training/{case.dataset}/{case.name}", lambda: made(case))
        numbers = tuple(int(kind) for kind in arrays["kinds"])
        outlines = tuple(np.asarray(arrays[f"outline {number}"], np.float32) for number in range(len(numbers)))
        return TrainingImage(case.dataset, np.asarray(arrays["levels"], np.uint8), outlines, numbers)

    return _each(cases, training_image, workers)


def outline(mask: Mask, shown: Frame) -> NDArray[np.float32]:
    """The contour points of a lesion (n × 2): x and y in frame pixels; n is 0 if the frame shows nothing of it."""
    contours, _ = cv2.findContours(shown.draw(mask).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = [contour.reshape(-1, 2) for contour in contours]
    return np.concatenate(points).astype(np.float32) if points else np.zeros((0, 2), dtype=np.float32)


def _corners(box: Box) -> tuple[int, int, int, int]:
    return box.top, box.left, box.bottom, box.right


def _boxes(corners: NDArray[np.generic]) -> list[Box]:
    """Boxes from rows of `_corners`."""
    return [Box(*(int(edge) for edge in row)) for row in corners]


def _read(case: Case, framing: Framing) -> tuple[Frame, tuple[Lesion, ...]]:
    image = case.read()
    return framing(image), case.read_lesions(image)


def _each(cases: Sequence[Case], work: Callable[[Case], Made], workers: int) -> list[Made]:
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return list(pool.map(work, cases))
