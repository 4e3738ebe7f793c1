"""The two regions whose textures are compared: tissue near a mass, and tissue farther away (Guo, Cai, Dungey).

The paper takes "a 3 cm region round the mass" and "a 6–9 cm region about it", both cut to the breast. Interpreted here
as a disc of 3 cm diameter around the centre of the mass, and the ring between 6 and 9 cm of diameter around the same
centre; the recipe's near_mm and far_mm allow other interpretations (a wider disc, a far region that contains the near
one).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from models.types.mammogram import Mammogram
from models.types.region import Mask

_WHOLLY = 0.999
"""A working pixel counts as breast if at least this share of it is: partly air, it would show the skin's edge."""


@dataclass(frozen=True)
class RegionSettings:
    """Sizes in millimetres of the breast.

    Attributes:
        near_mm: diameter of the disc around the mass.
        far_mm: inner and outer diameter of the ring around it; with an inner diameter of 0 it is a disc.
        working_mm: side of a working pixel: every image is resampled to this spacing before its texture is computed.

    Raises:
        ValueError: the diameters do not make a disc and a ring.
    """

    near_mm: float = 30.0
    far_mm: tuple[float, float] = (60.0, 90.0)
    working_mm: float = 0.25

    def __post_init__(self) -> None:
        inner, outer = self.far_mm
        if not (self.near_mm > 0 and 0 <= inner < outer):
            raise ValueError(
                f"near_mm is {self.near_mm}, far_mm {inner} to {outer}; give diameters, the inner one first"
            )

    @property
    def side(self) -> int:
        """Rows and columns of the working image: just large enough for the outer region."""
        return round(max(self.near_mm, *self.far_mm) / self.working_mm)


@dataclass(frozen=True, eq=False)
class Regions:
    """A mass's surroundings at the working spacing, centred on the mass.

    Attributes:
        picture: side × side, float32, the breast's mean subtracted. A pixel outside the breast has the value of the
            nearest breast pixel, so that no filter responds to the edge of the skin or of the image.
        near: side × side, bool: the region near the mass, in the breast.
        far: side × side, bool: the region farther away, in the breast.
    """

    picture: NDArray[np.float32]
    near: NDArray[np.bool_]
    far: NDArray[np.bool_]


def regions_of(image: Mammogram, breast: NDArray[np.bool_], mass: Mask, settings: RegionSettings) -> Regions:
    """The two regions of one mass.

    Args:
        image: with its spacing.
        breast: the breast's pixels (`models.anatomy.breast.breast_mask`), of the image's shape.
        mass: its outline in source pixels.
        settings: sizes.

    Raises:
        ValueError: the image has no spacing; the pipeline fills in a missing one.
    """
    if image.spacing_mm is None:
        raise ValueError("Regions in millimetres need spacing_mm")
    side = settings.side
    pixels, share = _resampled(image.pixels, breast, image.spacing_mm, _centre(mass), settings)
    inside = share >= _WHOLLY
    off = np.arange(side) - (side - 1) / 2
    diameter = 2 * settings.working_mm * np.hypot(off[:, None], off)
    inner, outer = settings.far_mm
    near = (diameter <= settings.near_mm) & inside
    far = (diameter >= inner) & (diameter <= outer) & inside
    return Regions(_filled(pixels, inside), near, far)


def _centre(mass: Mask) -> tuple[float, float]:
    """The centroid: row and column of the source image; pixel centres are at half coordinates."""
    rows, columns = np.nonzero(mass.crop)
    return mass.box.top + float(rows.mean()) + 0.5, mass.box.left + float(columns.mean()) + 0.5


def _resampled(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    middle: tuple[float, float],
    settings: RegionSettings,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Image and share of breast in each pixel, side × side, at the working spacing; outside the image the share is
    0."""
    side, scales = settings.side, [mm / settings.working_mm for mm in spacing_mm]
    # Only the visible part is resampled, with a margin of a few pixels.
    firsts = [max(0, int(at - side / 2 / scale) - 4) for at, scale in zip(middle, scales, strict=True)]
    lasts = [int(at + side / 2 / scale) + 4 for at, scale in zip(middle, scales, strict=True)]
    part = slice(firsts[0], lasts[0]), slice(firsts[1], lasts[1])
    stack = np.dstack((pixels[part], breast[part].astype(np.float32)))
    rows, columns = (max(1, round(length * scale)) for length, scale in zip(stack.shape[:2], scales, strict=True))
    shrinks = rows < stack.shape[0] and columns < stack.shape[1]
    small = cv2.resize(stack, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    down = (middle[0] - firsts[0]) * rows / stack.shape[0]
    across = (middle[1] - firsts[1]) * columns / stack.shape[1]
    move = np.array([[1, 0, side / 2 - across], [0, 1, side / 2 - down]])
    shown = cv2.warpAffine(small, move, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.ascontiguousarray(shown[..., 0], dtype=np.float32), np.ascontiguousarray(shown[..., 1], dtype=np.float32)


def _filled(pixels: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The pixels minus the breast's mean; each pixel outside the breast has the value of the nearest pixel inside."""
    if not inside.any():
        return np.zeros_like(pixels)
    rows, columns = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return np.asarray(pixels[rows, columns] - pixels[inside].mean(), dtype=np.float32)
