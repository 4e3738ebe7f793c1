"""An image as the models' input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Found = TypeVar("Found")


class Laterality(StrEnum):
    """The breast an image shows (DICOM Image Laterality (0020,0062))."""

    LEFT = "L"
    RIGHT = "R"


@dataclass(frozen=True, eq=False)
class Mammogram:
    """One image as the models' input.

    Attributes:
        pixels: rows × columns, float32 in 0..1, display polarity (dense tissue bright), VOI applied.
        spacing_mm: (row, column) distance of pixel centres in the breast, in mm; None if it is not known.
        spacing_by: the source of the spacing, for the report; "" if it is not known.
        laterality: the breast shown; None if the header does not state it.
        film: whether it is a scanned film; False: a digital detector made it; None: not known.
        view: DICOM view abbreviation ("CC", "MLO", "ML", …); None if the header does not state it.
        extent: what it shows if it is not a whole standard view ("spot/magnified", "cleavage", …); else "".
        upright: False if the header says that the image is upside down or turned by a quarter: then no nipple is
            searched for.
        tones: a sample of the stored values in ascending order, from which the display of the values was decided; None
            if it is not needed.
        calibration_holds: False: calibrations are fitted on other images than this one (raw, synthetic), and its score
            gives no probability. Nor does that of an image with an `extent`.
        warnings: sentences for the radiologist about the decoding of the image.
    """

    pixels: NDArray[np.float32]
    spacing_mm: tuple[float, float] | None = None
    spacing_by: str = ""
    film: bool | None = None
    laterality: Laterality | None = None
    view: str | None = None
    extent: str = ""
    upright: bool = True
    tones: NDArray[Any] | None = None
    calibration_holds: bool = True
    warnings: tuple[str, ...] = ()
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def kept(self, name: str, find: Callable[[], Found]) -> Found:
        """What was found in the pixels before under this name, or is found now: several of the models need it, and a
        process that decodes can find it before they do. `dataclasses.replace` keeps nothing: it may change the pixels.
        See `stating`.
        """
        if name not in self._kept:
            self._kept[name] = find()
        found: Found = self._kept[name]
        return found

    def stating(self, **facts: Any) -> Mammogram:
        """The same pixels with other facts about them (any attributes but `pixels`), and what was found in them."""
        assert "pixels" not in facts
        image = replace(self, **facts)
        image._kept.update(self._kept)
        return image

    @property
    def shape(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]
