"""An image with its annotations, read once, and a digest that identifies both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from models.datasets.case import Case, Lesion
from models.types.mammogram import Mammogram


@dataclass(frozen=True, eq=False)
class Truth:
    """An image and its annotated lesions."""

    case: Case
    image: Mammogram
    lesions: tuple[Lesion, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of everything that an observation depends on except the models (pixels, outlines and labels),
        hexadecimal."""
        case, image = self.case, self.image
        identity = (case.name, case.dataset, case.patients, case.exam, case.laterality, case.view, case.hospital)
        labels = (case.pathology, case.birads, case.density, case.marked_up, case.label_is_fair)
        digest = hashlib.sha256(repr((identity, labels, image.shape, image.spacing_mm)).encode())
        digest.update(np.ascontiguousarray(image.pixels).data)
        for lesion in self.lesions:
            digest.update(
                repr((lesion.mask.box, lesion.outlined, lesion.kind, lesion.pathology, lesion.birads)).encode()
            )
            digest.update(np.packbits(lesion.mask.crop).data)
            if lesion.drawn is not None:
                digest.update(repr(lesion.drawn.box).encode() + np.packbits(lesion.drawn.crop).tobytes())
        return digest.hexdigest()


def read_truth(case: Case) -> Truth:
    """Reads an image and its outlines.

    Raises:
        DatasetError: a file cannot be read.
    """
    image = case.read()
    return Truth(case, image, case.read_lesions(image))
