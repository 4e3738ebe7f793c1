"""Simulates the image from the tissue: attenuation of X-rays, blur, quantum noise, 12-bit values for presentation.

Attenuation at about 20 keV: Johns & Yaffe, Phys Med Biol 32:675, 1987. Skin 1.45 mm: Huang et al., Med Phys 35:1199,
2008. The noise is Poisson noise, in its normal approximation. The values for presentation are the logarithm of the
exposure, with the thin free edge brightened as in thickness equalisation (Byng, Critten & Yaffe, Radiology 203:564,
1997).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.phantom.grid import Field, Grid

FAT_PER_MM, GLAND_PER_MM = 0.0456, 0.0802
"""Linear attenuation of fat and of glandular tissue, per mm."""
BITS = 12
_SKIN_MM = 1.45
_QUANTA_PER_MM2 = 9e6
"""Quanta that enter the breast: about 4e5 per mm² leave an average breast."""
BLUR_MM = 0.07
"""Standard deviation of the detector's point spread function."""
_EQUALISED = 0.55
"""Share of the thin edge's missing attenuation that is added."""
_FAT_SHOWN, _GLAND_SHOWN = 0.26, 0.90
"""Grey value of a full thickness of fat or of gland, as a share of the full scale."""


def attenuation(glandular: Field, thickness: Field, depth: Field) -> Field:
    """The attenuation by fat, gland and skin: natural logarithm, without unit.

    Args:
        glandular, thickness, depth: millimetres at each pixel (`tissue.glandular_mm`, `breast`).
    """
    inner = FAT_PER_MM * (thickness - glandular) + GLAND_PER_MM * glandular
    # At the free edge the beam runs along the skin. Elsewhere it crosses the skin twice: a constant, left out here.
    along_skin = 5 * _SKIN_MM * np.exp(-((depth / _SKIN_MM) ** 2)) * (depth > 0)
    return np.asarray(inner + (GLAND_PER_MM - FAT_PER_MM) * along_skin, dtype=np.float32)


def exposed(rng: np.random.Generator, taken: Field, grid: Grid) -> Field:
    """The attenuation as the detector measures it: blurred, with noise that grows with the attenuation."""
    quanta = np.float32(_QUANTA_PER_MM2 * grid.spacing_mm**2) * np.exp(-taken)
    blurred = cv2.GaussianBlur(quanta, (0, 0), max(grid.pixels(BLUR_MM), 0.1))
    reaching = np.asarray(blurred, dtype=np.float32)
    counted = reaching + np.sqrt(reaching) * rng.standard_normal(reaching.shape, dtype=np.float32)
    return np.asarray(np.log(_QUANTA_PER_MM2 * grid.spacing_mm**2) - np.log(np.maximum(counted, 1)), dtype=np.float32)


def for_presentation(measured: Field, thickness: Field, full_thickness_mm: float) -> NDArray[np.uint16]:
    """12-bit values, dense tissue bright, air 0."""
    lifted = measured + _EQUALISED * FAT_PER_MM * (full_thickness_mm - thickness) * (thickness > 0)
    fat, gland = FAT_PER_MM * full_thickness_mm, GLAND_PER_MM * full_thickness_mm
    shown = _FAT_SHOWN + (_GLAND_SHOWN - _FAT_SHOWN) * (lifted - fat) / (gland - fat)
    top = (1 << BITS) - 1
    return np.asarray(np.clip(np.rint(shown * top), 0, top), dtype=np.uint16)
