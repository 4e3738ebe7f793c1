"""An image as the models see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Laterality(StrEnum):
    """The breast an image shows (DICOM Image Laterality (0020,0062))."""

    LEFT = "L"
    RIGHT = "R"


@dataclass(frozen=True, eq=False)
class Mammogram:
    """One image as the models see it.

    Attributes:
        pixels: rows × columns, float32 in 0..1, display polarity (dense tissue bright), VOI applied.
        spacing_mm: (row, column) distance of pixel centres in the breast, in mm; None where it is not known.
        spacing_by: how that was found, for the report; "" where it was not.
        laterality: the breast shown; None where the header does not say.
        view: DICOM view abbreviation ("CC", "MLO", "ML", …); None where the header does not say.
        extent: what it shows where that is not the whole of a standard view ("spot/magnified", "cleavage", …); else "".
        head_up: False where the header says that the columns run to the patient's head: no nipple is looked for.
        tones: a sample of the values as they are stored, rising, by which it was decided how they are shown; None where
            nobody asks.
        warnings: what the reader of the pixels thinks a radiologist should know (one sentence each).
    """

    pixels: NDArray[np.float32]
    spacing_mm: tuple[float, float] | None = None
    spacing_by: str = ""
    laterality: Laterality | None = None
    view: str | None = None
    extent: str = ""
    head_up: bool = True
    tones: NDArray[Any] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]
