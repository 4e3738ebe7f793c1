"""A classifier's training and validation samples, read once and kept in memory.

In some data sets properties that are not signs of disease reveal the label (in CDD-CESM every MLO image and every
512-pixel image is malignant). So training on whole images, and all validation, use only images with
`Case.label_is_fair`. Lesions of the other images are used for training, because there would be too few otherwise; all
are cut from frames of the same size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.anatomy.film import with_spacing
from models.classifiers.pictures import breast_frame
from models.datasets.case import Case, Pathology
from models.radiomics.texture import Radiomics
from models.training.augment import Picture, moved
from models.training.classifier.recipe import Augmentation
from models.training.scanners import relit
from models.types.region import Box

_ROUND = 8
"""Margin around a lesion in frame pixels, so that blur and JPEG have the same effect as in the whole frame."""
_TURN_DEGREES = 30.0
"""Largest rotation in both directions; the paper says only "random rotation"."""
_TRIES = 20


class Labelled(Protocol):
    """A sample with a label."""

    @property
    def malignant(self) -> bool:
        """The label."""


Sample = TypeVar("Sample", bound=Labelled)


@dataclass(frozen=True, eq=False)
class ImageSample:
    """A whole breast, with the radiomics of one of its lesions if radiomics are used.

    Attributes:
        case: its case's name; with radiomics, an image with several lesions has one sample per lesion.
        pixels: its frame, float16 to save memory.
        malignant: the label: the lesion's if there are radiomics of one, else the breast's.
        texture: radiomics (`models.radiomics.texture.LENGTH`); None without them or without a lesion.
    """

    case: str
    pixels: NDArray[np.float16]
    malignant: bool
    texture: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class LesionSample:
    """A lesion, or a piece of normal breast in a lesion's shape.

    Attributes:
        pixels: the part of the frame around it, with a margin.
        drawn: its mask in `pixels`; the whole box if only a box was drawn.
        malignant: the label.
        outlined: whether its outline was drawn.
    """

    pixels: NDArray[np.float32]
    drawn: NDArray[np.bool_]
    malignant: bool
    outlined: bool = True


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples, and the frames of breasts without lesions (`normal`)."""

    images: tuple[ImageSample, ...] = ()
    lesions: tuple[LesionSample, ...] = ()
    normal: tuple[NDArray[np.float16], ...] = ()


@dataclass(frozen=True)
class Wanted:
    """The samples to read: see `read_samples`."""

    images: bool
    lesions: bool
    frame_px: int
    radiomics: Radiomics | None = None
    assumed_spacing_mm: float = 0.1


def read_samples(cases: Sequence[Case], wanted: Wanted) -> Samples:
    """Reads the cases' pixels and outlines. Cases and lesions of unknown pathology are skipped.

    Raises:
        DatasetError: a file cannot be read.
    """
    images: list[ImageSample] = []
    lesions: list[LesionSample] = []
    normal: list[NDArray[np.float16]] = []
    for case in cases:
        if not wanted.lesions and not case.label_is_fair:
            continue
        image = with_spacing(case.read(), wanted.assumed_spacing_mm)
        shown = breast_frame(image, wanted.frame_px)
        kept = shown.pixels.astype(np.float16)
        known = [
            (lesion, pathology)
            for lesion in case.read_lesions(image)
            if (pathology := lesion.pathology or case.pathology)
        ]
        malignant = [pathology is Pathology.MALIGNANT for _, pathology in known]
        if wanted.images and case.label_is_fair:
            if wanted.radiomics is not None and known:
                textures = wanted.radiomics.textures(image, [lesion.mask for lesion, _ in known])
                images.extend(
                    ImageSample(case.name, kept, label, texture.vector)
                    for label, texture in zip(malignant, textures, strict=True)
                )
            elif case.pathology is not None:
                images.append(ImageSample(case.name, kept, case.pathology is Pathology.MALIGNANT))
        if wanted.lesions:
            lesions.extend(
                _cut(shown.pixels, shown.draw(lesion.mask), label, lesion.outlined)
                for (lesion, _), label in zip(known, malignant, strict=True)
            )
            if case.pathology is Pathology.NORMAL and case.marked_up and not known:
                normal.append(kept)
    return Samples(tuple(images), tuple(lesions), tuple(normal))


def pieces(samples: Samples, draw: np.random.Generator) -> list[LesionSample]:
    """Pieces of normal breasts in the shapes of lesions: half the surplus of malignant lesions over the others."""
    outnumbering = sum(1 if lesion.malignant else -1 for lesion in samples.lesions)
    if not samples.normal:
        return []
    made = []
    for number in range(max(0, outnumbering) // 2):
        pixels = samples.normal[number % len(samples.normal)].astype(np.float32)
        shape = samples.lesions[int(draw.integers(len(samples.lesions)))].drawn
        made.append(_cut(pixels, _placed(shape, pixels > 0, draw), False, True))
    return made


def dealt(samples: Sequence[Sample], count: int, balanced: bool, draw: np.random.Generator) -> Iterator[list[Sample]]:
    """An infinite series of batches of `count` samples.

    Args:
        samples: if `balanced`, with malignant and other ones.
        count: the batch size.
        balanced: half of each batch (rounded up) is malignant, drawn with replacement; False: all samples in turn, in a
            new random order each time.
        draw: the source of random numbers.
    """
    if balanced:
        sorts = [
            [sample for sample in samples if sample.malignant],
            [sample for sample in samples if not sample.malignant],
        ]
        while True:
            yield [sorts[place % 2][int(draw.integers(len(sorts[place % 2])))] for place in range(count)]
    deck: list[int] = []
    while True:
        while len(deck) < count:
            deck.extend(draw.permutation(len(samples)).tolist())
        yield [samples[number] for number in deck[:count]]
        del deck[:count]


def as_ellipse(lesion: LesionSample) -> LesionSample:
    """The lesion, its mask replaced by the ellipse in its box."""
    drawn = np.zeros_like(lesion.drawn)
    if (box := Box.around(lesion.drawn)) is not None:
        drawn[box.slices] = _ellipse(box.height, box.width)
    return replace(lesion, drawn=drawn)


def relit_as(pixels: NDArray[np.float32], how: Augmentation, draw: np.random.Generator) -> NDArray[np.float32]:
    """Simulates another scanner's grey scale, if the augmentation is "strong"."""
    return relit(pixels, draw) if how == "strong" else pixels


def moved_as(pixels: NDArray[np.float32], how: Augmentation, draw: np.random.Generator) -> NDArray[np.float32]:
    """The image with the geometric changes of this augmentation."""
    match how:
        case "strong":
            return moved(Picture(pixels, (), ()), draw).pixels
        case "turn-and-flip":
            return _turned(pixels, draw)
        case "none":
            return pixels


def _turned(pixels: NDArray[np.float32], draw: np.random.Generator) -> NDArray[np.float32]:
    side = pixels.shape[0]
    middle = (side - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), _TURN_DEGREES * draw.uniform(-1, 1), 1.0)
    there = cv2.warpAffine(pixels, turn, (side, side), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(there[:, ::-1] if draw.random() < 0.5 else there, dtype=np.float32)


def _cut(pixels: NDArray[np.float32], drawn: NDArray[np.bool_], malignant: bool, outlined: bool) -> LesionSample:
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    part = (
        slice(max(0, int(rows[0]) - _ROUND), int(rows[-1]) + 1 + _ROUND),
        slice(max(0, int(columns[0]) - _ROUND), int(columns[-1]) + 1 + _ROUND),
    )
    return LesionSample(pixels[part].copy(), drawn[part].copy(), malignant, outlined)


def _ellipse(rows: int, columns: int) -> NDArray[np.bool_]:
    """The mask of the ellipse that fills a box of this size."""
    down, across = np.ogrid[:rows, :columns]
    inside = ((2 * down + 1 - rows) / rows) ** 2 + ((2 * across + 1 - columns) / columns) ** 2 <= 1
    return np.asarray(inside, dtype=np.bool_)


def _placed(shape: NDArray[np.bool_], breast: NDArray[np.bool_], draw: np.random.Generator) -> NDArray[np.bool_]:
    """A lesion's mask moved to another breast: of some random positions, the one with the most breast in it."""
    rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
    cut = shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    best, most = np.zeros_like(breast), -1
    for _ in range(_TRIES):
        top, left = (int(draw.integers(0, room + 1)) for room in np.subtract(breast.shape, cut.shape))
        overlap = int(np.count_nonzero(cut & breast[top : top + cut.shape[0], left : left + cut.shape[1]]))
        if overlap > most:
            best, most = np.zeros_like(breast), overlap
            best[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return best
