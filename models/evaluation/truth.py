"""An image as its data set tells of it, read once, and a digest by which it is known again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from models.datasets.case import Case, Lesion
from models.types.mammogram import Mammogram


@dataclass(frozen=True, eq=False)
class Truth:
    """An image that was read, and what is drawn in it."""

    case: Case
    image: Mammogram
    lesions: tuple[Lesion, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of everything an observation depends on but the models: pixels, outlines and what is known of both,
        hexadecimal."""
        case, image = self.case, self.image
        whose = (case.name, case.dataset, case.patients, case.exam, case.laterality, case.view)
        said = (case.pathology, case.birads, case.density, case.marked_up, case.label_is_fair)
        found = hashlib.sha256(repr((whose, said, image.shape, image.spacing_mm)).encode())
        found.update(np.ascontiguousarray(image.pixels).data)
        for lesion in self.lesions:
            found.update(
                repr((lesion.mask.box, lesion.outlined, lesion.kind, lesion.pathology, lesion.birads)).encode()
            )
            found.update(np.packbits(lesion.mask.crop).data)
        return found.hexdigest()


def read_truth(case: Case) -> Truth:
    """Reads an image and its outlines.

    Raises:
        DatasetError: a file cannot be read.
    """
    image = case.read()
    return Truth(case, image, case.read_lesions(image))
