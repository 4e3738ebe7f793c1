"""Radiomics of a mass: the texture near it, the texture farther away, and their similarity (Guo, Cai, Dungey).

A texture is the response of a bank of Gabor filters in a region: for each filter the mean and the variance of the
response's magnitude; the means and the variances are each normalised to unit length. This removes a scanner's contrast:
an image with twice the contrast has the same texture. The similarity is the cosine of the two vectors: 1 if the
surroundings have the mass's texture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.anatomy.breast import breast_mask_of
from models.radiomics.gabor import GaborBank
from models.radiomics.regions import Regions, RegionSettings, regions_of
from models.types.mammogram import Mammogram
from models.types.region import Mask

WAVELENGTHS_MM = (8.0, 4.0, 2.0, 1.0)
"""Octaves from the scale of a mass's spicules to that of the gland's lobes."""
ORIENTATIONS = 6
LENGTH = 2 * 2 * len(WAVELENGTHS_MM) * ORIENTATIONS + 1
"""Length of `Texture.vector`: two regions, mean and variance of each filter, and the similarity."""
_LEAST_PIXELS = 16
"""A region with fewer pixels (of the working spacing) has no texture."""


@dataclass(frozen=True, eq=False)
class Texture:
    """The radiomics of one mass.

    Attributes:
        near: the texture near the mass: float32, (LENGTH - 1) / 2 numbers, unit length; zeros if the region is empty.
        far: the texture farther away, in the same form; zeros if the breast does not extend that far.
        similarity: the cosine of the two, 0..1; 0 if either is empty.
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
    """Computes textures; the filters are made once and used for every mass."""

    settings: RegionSettings = field(default_factory=RegionSettings)
    _bank: GaborBank = field(init=False, repr=False)

    def __post_init__(self) -> None:
        frequencies = tuple(self.settings.working_mm / wavelength for wavelength in WAVELENGTHS_MM)
        object.__setattr__(self, "_bank", GaborBank(frequencies, ORIENTATIONS, self.settings.side))

    def textures(self, image: Mammogram, masses: Sequence[Mask]) -> list[Texture]:
        """One texture per mass. The air around the breast, and labels in it, are excluded.

        Raises:
            ValueError: there is a mass, and the image has no spacing.
        """
        if not masses:
            return []
        breast = breast_mask_of(image)
        return [self._texture(regions_of(image, breast, mass, self.settings)) for mass in masses]

    def _texture(self, regions: Regions) -> Texture:
        magnitudes = self._bank.magnitudes(regions.picture)
        near, far = (_normalised(magnitudes[:, region]) for region in (regions.near, regions.far))
        return Texture(near, far, float(np.clip(near @ far, 0, 1)))


def _normalised(magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means and variances of the filters (filters × pixels), both halves of equal length, together of unit length."""
    filters, pixels = magnitudes.shape
    if pixels < _LEAST_PIXELS:
        return np.zeros(2 * filters, dtype=np.float32)
    halves = np.stack((magnitudes.mean(axis=1, dtype=np.float64), magnitudes.var(axis=1, dtype=np.float64)))
    lengths = np.linalg.norm(halves, axis=1, keepdims=True)
    unit = np.divide(halves, lengths, out=np.zeros_like(halves), where=lengths > 0)
    return np.asarray(unit.ravel() / np.sqrt(2), dtype=np.float32)
