"""The two regions whose textures are compared: the tissue at a mass and the tissue farther off (Guo, Cai, Dungey).

The paper takes "a 3 cm region round the mass" and "a 6–9 cm region about it", both cut to the breast. Read here as a
disc of 3 cm diameter round the middle of the mass, and the ring between 6 and 9 cm of diameter about the same middle;
the recipe's near_mm and far_mm have the other readings (a wider disc, a far region that holds the near one).
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
"""A working pixel counts as breast when this share of it is: one that is partly air would read the skin's edge."""


@dataclass(frozen=True)
class RegionSettings:
    """Sizes in millimetres of the breast.

    Attributes:
        near_mm: diameter of the disc round the mass.
        far_mm: inner and outer diameter of the ring about it; an inner 0 makes it a disc.
        working_mm: side of a working pixel: every image is brought to this spacing before its texture is taken.

    Raises:
        ValueError: there is no such disc or ring.
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
        """Rows and columns of the working picture: just large enough for the outer region."""
        return round(max(self.near_mm, *self.far_mm) / self.working_mm)


@dataclass(frozen=True, eq=False)
class Regions:
    """A mass's surroundings at the working spacing, the middle of the mass in the middle.

    Attributes:
        picture: side × side, float32, the breast's mean taken off. Beyond the breast it goes on with the nearest breast
            pixel's value, so that no filter meets the edge of the skin or of the image.
        near: side × side, bool: the region round the mass, in the breast.
        far: side × side, bool: the region about it, in the breast.
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
        ValueError: the image has no spacing, and millimetres mean nothing; the pipeline fills in a missing one.
    """
    if image.spacing_mm is None:
        raise ValueError("Regions in millimetres need spacing_mm")
    side = settings.side
    pixels, share = _working(image.pixels, breast, image.spacing_mm, _middle(mass), settings)
    inside = share >= _WHOLLY
    off = np.arange(side) - (side - 1) / 2
    diameter = 2 * settings.working_mm * np.hypot(off[:, None], off)
    inner, outer = settings.far_mm
    near = (diameter <= settings.near_mm) & inside
    far = (diameter >= inner) & (diameter <= outer) & inside
    return Regions(_filled(pixels, inside), near, far)


def _middle(mass: Mask) -> tuple[float, float]:
    """The centre of gravity, row and column of the source image; centres of pixels stand at half."""
    rows, columns = np.nonzero(mass.crop)
    return mass.box.top + float(rows.mean()) + 0.5, mass.box.left + float(columns.mean()) + 0.5


def _working(
    pixels: NDArray[np.float32],
    breast: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    middle: tuple[float, float],
    settings: RegionSettings,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Picture and share of breast in it, side × side, at the working spacing; beyond the image the share is 0."""
    side, scales = settings.side, [mm / settings.working_mm for mm in spacing_mm]
    # Only what can be seen is resampled, with a few pixels to spare.
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
    """The mean of the breast taken off, and each pixel outside it given the value of the nearest inside."""
    if not inside.any():
        return np.zeros_like(pixels)
    rows, columns = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return np.asarray(pixels[rows, columns] - pixels[inside].mean(), dtype=np.float32)
