"""Breasts of a few pixels with one bright disc, as cases of a data set."""

from __future__ import annotations

import numpy as np

from models.datasets.case import Case, Lesion, Pathology
from models.types.mammogram import Laterality, Mammogram
from models.types.reading import FindingKind
from models.types.region import Box, Mask


def drawn_case(
    number: int, pathology: Pathology, *, fair: bool = True, outlined: bool = True, lesion: bool = True
) -> Case:
    """An image of 96 × 72 pixels of 1 mm; the disc is brighter where it is malignant. Two images make an exam."""
    y, x = np.mgrid[:96, :72]
    breast = ((y - 48) / 44) ** 2 + (x / 64) ** 2 < 1
    row, column, radius = 30 + 5 * (number % 6), 28, 7
    disc = np.hypot(y - row, x - column) < radius
    grain = np.random.default_rng(number).random((96, 72))
    pixels = np.where(breast, 0.4 + 0.1 * grain, 0)
    if lesion:
        pixels = np.where(disc, 0.8 if pathology is Pathology.MALIGNANT else 0.6, pixels)
    box = Box(row - radius, column - radius, row + radius + 1, column + radius + 1)
    mask = Mask(box, disc[box.slices] if outlined else np.ones((box.height, box.width), dtype=np.bool_))
    drawn = (Lesion(mask, outlined, FindingKind.MASS),) if lesion else ()
    return Case(
        name=f"case-{number}",
        dataset="drawn",
        patients=(f"patient-{number}",),
        exam=f"exam-{number // 2}",
        laterality=Laterality.LEFT if number % 2 else Laterality.RIGHT,
        view="CC",
        pathology=pathology,
        birads=None,
        density=None,
        marked_up=True,
        label_is_fair=fair,
        official=None,
        read=lambda: Mammogram(pixels.astype(np.float32), spacing_mm=(1.0, 1.0)),
        read_lesions=lambda _: drawn,
    )


def drawn_cases(count: int, first: int = 0) -> list[Case]:
    """Benign and malignant in turn."""
    return [drawn_case(first + at, Pathology.MALIGNANT if at % 2 else Pathology.BENIGN) for at in range(count)]
