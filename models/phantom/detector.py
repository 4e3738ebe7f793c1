"""From tissue to the image that the radiologist sees: X-rays through the breast, blur, quantum noise, 12 bits.

Attenuation at about 20 keV: Johns & Yaffe, Phys Med Biol 32:675, 1987. Skin 1.45 mm: Huang et al., Med Phys 35:1199,
2008. Counting noise is Poisson's, here by its normal approximation. The values for presentation are the logarithm of
the exposure with the thin free edge lifted, in the manner of thickness equalisation (Byng, Critten & Yaffe, Radiology
203:564, 1997).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.phantom.grid import Field, Grid

FAT_PER_MM, GLAND_PER_MM = 0.0456, 0.0802
"""Linear attenuation of fat and of glandular tissue."""
BITS = 12
_SKIN_MM = 1.45
_QUANTA_PER_MM2 = 9e6
"""Quanta on the breast: some 4e5 a mm² are left behind an average one."""
BLUR_MM = 0.07
"""Standard deviation of the detector's point spread."""
_EQUALISED = 0.55
"""Share of the thin edge's missing attenuation that is put back."""
_FAT_SHOWN, _GLAND_SHOWN = 0.26, 0.90
"""Share of the full scale at which a full thickness of fat or of gland is shown."""


def attenuation(glandular: Field, thickness: Field, depth: Field) -> Field:
    """What fat, gland and skin take from the beam: natural logarithm, without unit.

    Args:
        glandular, thickness, depth: millimetres at each pixel (`tissue.glandular_mm`, `breast`).
    """
    inner = FAT_PER_MM * (thickness - glandular) + GLAND_PER_MM * glandular
    # The beam runs along the skin at the free edge and through it twice elsewhere, where it lifts all alike.
    along_skin = 5 * _SKIN_MM * np.exp(-((depth / _SKIN_MM) ** 2)) * (depth > 0)
    return np.asarray(inner + (GLAND_PER_MM - FAT_PER_MM) * along_skin, dtype=np.float32)


def exposed(rng: np.random.Generator, taken: Field, grid: Grid) -> Field:
    """The attenuation as the detector measures it: blurred, and noisy where few quanta come through."""
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
