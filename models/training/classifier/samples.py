"""A classifier's training and validation samples, read once (`models/training/kept.py`).

In some data sets properties that are not signs of disease reveal the label (in CDD-CESM every MLO image and every
512-pixel image is malignant). So training on whole images, and all validation, use only images with
`Case.label_is_fair`. Lesions of the other images are used for training where all lesions are cut from frames of the
same size; at a scale (`mm_per_px`) they are not, because coarse images are blurred there.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.anatomy.film import with_spacing
from models.classifiers.pictures import LESION_PX, image_picture, with_surroundings
from models.datasets.case import Case, Lesion, Pathology
from models.framing import Size, breast_framing
from models.radiomics.texture import Radiomics
from models.training.augment import Picture, moved
from models.training.classifier.recipe import Augmentation
from models.training.kept import IN_MEMORY, Arrays, Kept
from models.training.scanners import relit
from models.types.region import Box

_ROUND = 8
"""Margin around a lesion in frame pixels, so that blur and JPEG have the same effect as in the whole frame."""
_TURN_DEGREES = 30.0
"""Largest rotation in both directions; the paper says only "random rotation"."""
_TRIES = 20
_WIDER = 1.4
"""Samples with surroundings show this many times what the network sees: the augmentation turns and shifts them."""
_EVERY = 3
"""A window without a lesion is taken from one of this many images."""

_REACH_PX = LESION_PX // 4
"""No lesion is nearer than this to the middle of such a window, along rows or columns."""


class Labelled(Protocol):
    """A sample with a label."""

    @property
    def malignant(self) -> bool:
        """The label."""

    @property
    def origin(self) -> str:
        """Its set and hospital: `origin_of`."""


Sample = TypeVar("Sample", bound=Labelled)


@dataclass(frozen=True, eq=False)
class ImageSample:
    """A whole breast, with the radiomics of one of its lesions if radiomics are used.

    Attributes:
        case: its case's name; with radiomics, an image with several lesions has one sample per lesion.
        pixels: the network's input, float16 to save memory.
        malignant: the label: the lesion's if there are radiomics of one, else the breast's.
        origin: see `origin_of`.
        texture: radiomics (`models.radiomics.texture.LENGTH`); None without them or without a lesion.
    """

    case: str
    pixels: NDArray[np.float16]
    malignant: bool
    origin: str = ""
    texture: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class LesionSample:
    """A lesion, or a piece of normal breast in a lesion's shape.

    Attributes:
        pixels: the part of the frame around it, with a margin.
        drawn: its mask in `pixels`; the whole box if only a box was drawn; None: it is shown with its surroundings.
        malignant: the label.
        outlined: whether its outline was drawn.
        origin: see `origin_of`.
    """

    pixels: NDArray[np.float32]
    drawn: NDArray[np.bool_] | None
    malignant: bool
    outlined: bool = True
    origin: str = ""


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples; the frames of breasts without lesions (`normal`); and, at a scale, windows beside the lesions."""

    images: tuple[ImageSample, ...] = ()
    lesions: tuple[LesionSample, ...] = ()
    normal: tuple[NDArray[np.float16], ...] = ()
    beside: tuple[LesionSample, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """The samples to read: see `read_samples`."""

    images: bool
    lesions: bool
    frame_px: int
    image_px: Size = 512
    mm_per_px: float | None = None
    radiomics: Radiomics | None = None
    assumed_spacing_mm: float = 0.1


def origin_of(case: Case) -> str:
    """Where an image was made, as far as it is known: it may not tell a classifier the label."""
    return f"{case.dataset}/{case.hospital}"


def read_samples(cases: Sequence[Case], wanted: Wanted, kept: Kept = IN_MEMORY) -> Samples:
    """Reads the cases' pixels and outlines. Cases and lesions of unknown pathology are skipped.

    Raises:
        DatasetError: a file cannot be read.
    """
    images: list[ImageSample] = []
    lesions: list[LesionSample] = []
    normal: list[NDArray[np.float16]] = []
    beside: list[LesionSample] = []
    for number, case in enumerate(cases):
        if not case.label_is_fair and (not wanted.lesions or wanted.mm_per_px is not None):
            continue
        arrays = kept.of(f"{case.dataset}/{case.name}", partial(_made, case, wanted))
        found = _samples(arrays, case)
        images += found.images
        lesions += found.lesions
        normal += found.normal
        beside += found.beside if number % _EVERY == 0 else ()
    return Samples(tuple(images), tuple(lesions), tuple(normal), tuple(beside))


def _made(case: Case, wanted: Wanted) -> Arrays:
    """What is read of a case; `_samples` makes its samples of it."""
    image = with_spacing(case.read(), wanted.assumed_spacing_mm)
    shown = breast_framing(wanted.frame_px, wanted.mm_per_px)(image)
    drawn = case.read_lesions(image)
    known = [(lesion, pathology) for lesion in drawn if (pathology := lesion.pathology or case.pathology)]
    malignant = [pathology is Pathology.MALIGNANT for _, pathology in known]
    made: dict[str, NDArray[Any]] = {}
    if wanted.images and case.label_is_fair:
        picture = image_picture(shown.pixels, wanted.image_px).astype(np.float16)
        if wanted.radiomics is not None and known:
            textures = wanted.radiomics.textures(image, [lesion.shown for lesion, _ in known])
            made |= {"image": picture, "image labels": np.array(malignant)}
            made["textures"] = np.stack([texture.vector for texture in textures])
        elif case.pathology is not None:
            made |= {"image": picture, "image labels": np.array([case.pathology is Pathology.MALIGNANT])}
    if wanted.lesions:
        made["lesion labels"] = np.array(malignant, dtype=np.bool_)
    if wanted.lesions and wanted.mm_per_px is not None:
        boxes = [shown.box_of(lesion.mask) for lesion, _ in known]
        made |= {f"lesion {at}": with_surroundings(shown.pixels, box, _WIDER) for at, box in enumerate(boxes)}
        window = _beside(case, shown.pixels, boxes) if case.marked_up else None
        made |= {} if window is None else {"beside": window}
    elif wanted.lesions:
        for at, (lesion, _) in enumerate(known):
            made[f"lesion {at}"], made[f"drawn {at}"] = _cut(shown.pixels, shown.draw(lesion.shown))
        made["outlined"] = np.array([_has_outline(lesion) for lesion, _ in known], dtype=np.bool_)
        if case.pathology is Pathology.NORMAL and case.marked_up and not known:
            made["normal"] = shown.pixels.astype(np.float16)
    return made


def _samples(made: Mapping[str, NDArray[Any]], case: Case) -> Samples:
    """The samples of what was read of a case."""
    origin, labels = origin_of(case), made.get("image labels", np.zeros(0))
    images = tuple(
        ImageSample(case.name, made["image"], bool(label), origin, made["textures"][at] if "textures" in made else None)
        for at, label in enumerate(labels)
    )
    lesions = tuple(
        LesionSample(
            made[f"lesion {at}"],
            made.get(f"drawn {at}"),
            bool(label),
            bool(made["outlined"][at]) if "outlined" in made else True,
            origin,
        )
        for at, label in enumerate(made.get("lesion labels", ()))
    )
    beside = (LesionSample(made["beside"], None, False, origin=origin),) if "beside" in made else ()
    return Samples(images, lesions, (made["normal"],) if "normal" in made else (), beside)


def _has_outline(lesion: Lesion) -> bool:
    return lesion.outlined or lesion.drawn is not None


def pieces(samples: Samples, draw: np.random.Generator) -> list[LesionSample]:
    """Pieces of normal breasts in the shapes of lesions: half the surplus of malignant lesions over the others."""
    outnumbering = sum(1 if lesion.malignant else -1 for lesion in samples.lesions)
    if not samples.normal:
        return []
    made = []
    for number in range(max(0, outnumbering) // 2):
        pixels = samples.normal[number % len(samples.normal)].astype(np.float32)
        shape = samples.lesions[int(draw.integers(len(samples.lesions)))].drawn
        assert shape is not None
        made.append(LesionSample(*_cut(pixels, _placed(shape, pixels > 0, draw)), False))
    return made


def dealt(samples: Sequence[Sample], count: int, balanced: bool, draw: np.random.Generator) -> Iterator[list[Sample]]:
    """An infinite series of batches of `count` samples.

    Args:
        samples: if `balanced`, with malignant and other ones.
        count: the batch size.
        balanced: half of each batch (rounded up) is malignant, drawn with replacement, and of each origin too, so that
            a sample's origin does not tell its label; False: all samples in turn, in a new random order each time.
        draw: the source of random numbers.
    """
    if balanced:
        groups = _with_both(samples)
        shares = np.array([sum(map(len, group)) for group in groups]) / len(samples)
        while True:
            some = []
            for place in range(count):
                group = groups[int(draw.choice(len(groups), p=shares)) if len(groups) > 1 else 0]
                label = group[place % 2]
                some.append(label[int(draw.integers(len(label)))])
            yield some
    deck: list[int] = []
    while True:
        while len(deck) < count:
            deck.extend(draw.permutation(len(samples)).tolist())
        yield [samples[number] for number in deck[:count]]
        del deck[:count]


def _with_both(samples: Sequence[Sample]) -> list[tuple[list[Sample], list[Sample]]]:
    """The malignant and the other samples of each origin. Origins that lack one of them are counted as one; if they all
    lack the same one, they belong to the last origin that has both."""
    groups: dict[str, tuple[list[Sample], list[Sample]]] = {}
    for sample in samples:
        groups.setdefault(sample.origin, ([], []))[0 if sample.malignant else 1].append(sample)
    whole = [group for group in groups.values() if all(group)]
    lacking = [group for group in groups.values() if not all(group)]
    if lacking:
        rest = tuple([sample for group in lacking for sample in group[label]] for label in (0, 1))
        if all(rest) or not whole:
            whole.append((rest[0], rest[1]))
        else:
            for label in (0, 1):
                whole[-1][label].extend(rest[label])
    return whole


def as_ellipse(lesion: LesionSample) -> LesionSample:
    """The lesion, its mask replaced by the ellipse in its box."""
    if lesion.drawn is None:
        return lesion
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
    rows, columns = pixels.shape
    middle = (columns - 1) / 2, (rows - 1) / 2
    turn = cv2.getRotationMatrix2D(middle, _TURN_DEGREES * draw.uniform(-1, 1), 1.0)
    there = cv2.warpAffine(pixels, turn, (columns, rows), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(there[:, ::-1] if draw.random() < 0.5 else there, dtype=np.float32)


def _beside(case: Case, pixels: NDArray[np.float32], lesions: Sequence[Box]) -> NDArray[np.float32] | None:
    """A window onto the breast whose middle half no lesion's box touches, if some tries find one: not malignant."""
    draw = np.random.default_rng(zlib.crc32(case.name.encode()))
    tissue = np.argwhere(pixels > 0)
    for _ in range(_TRIES if len(tissue) else 0):
        row, column = (int(place) for place in tissue[int(draw.integers(len(tissue)))])
        middle = Box(max(0, row - _REACH_PX), max(0, column - _REACH_PX), row + _REACH_PX, column + _REACH_PX)
        if not any(_touch(middle, box) for box in lesions):
            return with_surroundings(pixels, middle, _WIDER)
    return None


def _touch(first: Box, second: Box) -> bool:
    return (
        first.top < second.bottom
        and second.top < first.bottom
        and first.left < second.right
        and second.left < first.right
    )


def _cut(pixels: NDArray[np.float32], drawn: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The part of the frame around what is drawn, with a margin, and the mask in it."""
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    part = (
        slice(max(0, int(rows[0]) - _ROUND), int(rows[-1]) + 1 + _ROUND),
        slice(max(0, int(columns[0]) - _ROUND), int(columns[-1]) + 1 + _ROUND),
    )
    return pixels[part].copy(), drawn[part].copy()


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
