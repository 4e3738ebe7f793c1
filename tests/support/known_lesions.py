"""Phantom exams with images of any size, and models that find exactly the inserted lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from simple_models import OneMass

from dicom_io.phantom import PhantomStudy, PhantomView, phantom_mammogram
from models.phantom.exam import PhantomImage, PhantomLesion, Prevalence, draw_exam
from models.protocols import ToOutline
from models.types.mammogram import Laterality, Mammogram
from models.types.reading import Detection
from models.types.region import Box, Mask

View = tuple[Laterality | None, str | None]


@dataclass(frozen=True)
class KnownLesions(OneMass):
    """Detector, segmenter and classifier in one: they get the true lesions."""

    of_views: Mapping[View, Sequence[PhantomLesion]] = field(default_factory=dict)

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        return [
            tuple(Detection(lesion.mask.box, lesion.finding.kind, 0.9) for lesion in self._lesions(image))
            for image in images
        ]

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        return [[self._mask_in(asked.image, box) for box, _ in asked.lesions] for asked in images]

    def _mask_in(self, image: Mammogram, box: Box) -> Mask:
        return {lesion.mask.box: lesion.mask for lesion in self._lesions(image)}[box]

    def _lesions(self, image: Mammogram) -> Sequence[PhantomLesion]:
        return self.of_views.get((image.laterality, image.view), ())


@dataclass(frozen=True, eq=False)
class KnownExam:
    """Four images and the lesions in each: at least one per view, none symmetrical, none in the middle."""

    images: tuple[Dataset, ...]
    lesions: Mapping[View, Sequence[PhantomLesion]]

    def seen(self, *views: View) -> KnownLesions:
        """Models that find the lesions of these views; of all where none is named."""
        return KnownLesions(of_views={view: self.lesions[view] for view in views or self.lesions})


def known_exam(*shapes: tuple[int, int], spacing_mm: float = 0.5) -> KnownExam:
    """An exam whose images have these rows and columns: one size for all, or one an image (RCC, LCC, RMLO, LMLO).

    Args:
        spacing_mm: with which it is drawn, before it is brought to its size. Pixels are square in the end, too: from
            oblong ones OHIF 3.12 takes the row spacing for the columns', and draws outlines in the wrong place.
    """
    drawn = draw_exam(1, 6, spacing_mm, Prevalence(lesions=1, second=0.5)).images
    sizes = shapes if len(shapes) == len(drawn) else shapes * len(drawn)
    images = [_sized(image, shape) for image, shape in zip(drawn, sizes, strict=True)]
    study = PhantomStudy("PHANTOM-KNOWN", repr((shapes, spacing_mm)))
    return KnownExam(
        tuple(_mammogram(study, number, image) for number, image in enumerate(images, start=1)),
        {(image.laterality, image.view): image.lesions for image in images},
    )


def _mammogram(study: PhantomStudy, number: int, image: PhantomImage) -> Dataset:
    view = PhantomView(study, number, image.laterality, image.view, image.pixels, image.spacing_mm, image.thickness_mm)
    return phantom_mammogram(view)


def _sized(image: PhantomImage, shape: tuple[int, int]) -> PhantomImage:
    """Scaled to the rows; columns are added or removed on the side of the air."""
    rows, columns = shape
    scale = rows / image.pixels.shape[0]
    scaled = (round(image.pixels.shape[1] * scale), rows)

    def cut(pixels: NDArray[Any], interpolation: int) -> NDArray[Any]:
        resized = cv2.resize(pixels, scaled, interpolation=interpolation)
        from_chest_wall = resized[:, ::-1] if image.laterality is Laterality.RIGHT else resized
        sized = np.pad(from_chest_wall, ((0, 0), (0, max(0, columns - scaled[0]))))[:, :columns]
        return np.ascontiguousarray(sized[:, ::-1] if image.laterality is Laterality.RIGHT else sized)

    def lesion(truth: PhantomLesion) -> PhantomLesion:
        whole = truth.mask.full(image.pixels.shape).astype(np.uint8)
        return replace(truth, mask=_mask(cut(whole, cv2.INTER_NEAREST) > 0))

    return replace(
        image,
        pixels=cut(image.pixels, cv2.INTER_LINEAR),
        spacing_mm=round(image.spacing_mm / scale, 6),
        lesions=tuple(lesion(entry) for entry in image.lesions),
    )


def _mask(whole: NDArray[np.bool_]) -> Mask:
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    box = Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return Mask(box, whole[box.slices])
