"""Random fields with a power-law spectrum: the texture of mammograms.

The power spectrum of mammograms falls as 1/f^β: β is 3 on average in Burgess, Jacobson & Judy (Med Phys 28:419, 2001),
and 1.5 to 3.5 with a mean near 2.8 in Burgess & Judy (Proc SPIE 5034, 2003).
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from models.phantom.grid import Field

BETA = 3.0
_LONGEST_WAVE_MM = 120.0
"""Longer waves get only the power of this one: otherwise they would dominate as a gradient over the whole breast."""


def power_law_field(
    rng: np.random.Generator, shape: tuple[int, int], spacing_mm: tuple[float, float], beta: float = BETA
) -> Field:
    """Gaussian noise whose power falls as 1/f^β; mean 0, standard deviation 1.

    Args:
        spacing_mm: (row, column); if they differ, the texture is stretched.
    """
    rows, columns = (scipy.fft.next_fast_len(length, real=True) for length in shape)
    spectrum = scipy.fft.rfft2(rng.standard_normal((rows, columns), dtype=np.float32))
    vertical = scipy.fft.fftfreq(rows, spacing_mm[0]).astype(np.float32)[:, None]
    horizontal = scipy.fft.rfftfreq(columns, spacing_mm[1]).astype(np.float32)[None, :]
    frequency = np.maximum(np.hypot(vertical, horizontal), np.float32(1 / _LONGEST_WAVE_MM))
    field = scipy.fft.irfft2(spectrum * frequency ** np.float32(-beta / 2), s=(rows, columns))[: shape[0], : shape[1]]
    field -= field.mean()
    return np.asarray(field / field.std(), dtype=np.float32)
