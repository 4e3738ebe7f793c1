"""Radiomics of a mass: the texture at it, the texture farther off, and how alike the two are (Guo, Cai, Dungey).

A texture is what a bank of Gabor filters answers in a region: for each filter the mean of the response's magnitude and
its variance, each half brought to unit length. Unit length takes a scanner's contrast out: twice the contrast is the
same texture. The likeness is the cosine of the two vectors: 1 where the surroundings go on as the mass is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.anatomy.breast import breast_mask
from models.radiomics.gabor import GaborBank
from models.radiomics.regions import Regions, RegionSettings, regions_of
from models.types.mammogram import Mammogram
from models.types.region import Mask

WAVELENGTHS_MM = (8.0, 4.0, 2.0, 1.0)
"""Octaves between a mass's spicules and the gland's lobes."""
ORIENTATIONS = 6
LENGTH = 2 * 2 * len(WAVELENGTHS_MM) * ORIENTATIONS + 1
"""Numbers of `Texture.vector`: two regions, mean and variance of each filter, and the likeness."""
_LEAST_PIXELS = 16
"""A region with fewer pixels (of the working spacing) has no texture."""


@dataclass(frozen=True, eq=False)
class Texture:
    """The radiomics of one mass.

    Attributes:
        near: the texture round the mass: float32, (LENGTH - 1) / 2, of length 1; zeros where the region is empty.
        far: the texture about it, likewise; zeros where the breast does not reach so far.
        similarity: the cosine of the two, 0..1; 0 where either is empty.
    """

    near: NDArray[np.float32]
    far: NDArray[np.float32]
    similarity: float

    @property
    def vector(self) -> NDArray[np.float32]:
        """near, far and similarity in a row: LENGTH, float32."""
        return np.concatenate((self.near, self.far, np.array([self.similarity], dtype=np.float32)))


@dataclass(frozen=True, eq=False)
class Radiomics:
    """Takes textures; the filters are made once and used for every mass."""

    settings: RegionSettings = field(default_factory=RegionSettings)
    _bank: GaborBank = field(init=False, repr=False)

    def __post_init__(self) -> None:
        frequencies = tuple(self.settings.working_mm / wavelength for wavelength in WAVELENGTHS_MM)
        object.__setattr__(self, "_bank", GaborBank(frequencies, ORIENTATIONS, self.settings.side))

    def textures(self, image: Mammogram, masses: Sequence[Mask]) -> list[Texture]:
        """One texture a mass. The air round the breast and the labels in it do not enter.

        Raises:
            ValueError: there is a mass, and the image has no spacing.
        """
        if not masses:
            return []
        breast = breast_mask(image.pixels)
        return [self._texture(regions_of(image, breast, mass, self.settings)) for mass in masses]

    def _texture(self, regions: Regions) -> Texture:
        magnitudes = self._bank.magnitudes(regions.picture)
        near, far = (_normalised(magnitudes[:, region]) for region in (regions.near, regions.far))
        return Texture(near, far, float(np.clip(near @ far, 0, 1)))


def _normalised(magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filters × pixels to means and variances of the filters, both halves of equal length, together of length 1."""
    filters, pixels = magnitudes.shape
    if pixels < _LEAST_PIXELS:
        return np.zeros(2 * filters, dtype=np.float32)
    halves = np.stack((magnitudes.mean(axis=1, dtype=np.float64), magnitudes.var(axis=1, dtype=np.float64)))
    lengths = np.linalg.norm(halves, axis=1, keepdims=True)
    unit = np.divide(halves, lengths, out=np.zeros_like(halves), where=lengths > 0)
    return np.asarray(unit.ravel() / np.sqrt(2), dtype=np.float32)
