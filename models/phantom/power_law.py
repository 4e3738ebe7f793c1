"""Random fields with a power-law spectrum: the texture of mammograms.

The power spectrum of mammographic parenchyma falls as 1/f^β with β near 3 (Burgess, J Opt Soc Am A 16:633, 1999;
Burgess, Jacobson & Judy, Med Phys 28:419, 2001).
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from models.phantom.grid import Field

BETA = 3.0
_LONGEST_WAVE_MM = 120.0
"""Longer waves get no more power than this one: they would be a slope over the whole breast."""


def power_law_field(
    rng: np.random.Generator, shape: tuple[int, int], spacing_mm: tuple[float, float], beta: float = BETA
) -> Field:
    """Gaussian noise whose power falls as 1/f^β; mean 0, standard deviation 1.

    Args:
        spacing_mm: (row, column); unequal ones stretch the texture.
    """
    rows, columns = (scipy.fft.next_fast_len(length, real=True) for length in shape)
    spectrum = scipy.fft.rfft2(rng.standard_normal((rows, columns), dtype=np.float32))
    vertical = scipy.fft.fftfreq(rows, spacing_mm[0]).astype(np.float32)[:, None]
    horizontal = scipy.fft.rfftfreq(columns, spacing_mm[1]).astype(np.float32)[None, :]
    frequency = np.maximum(np.hypot(vertical, horizontal), np.float32(1 / _LONGEST_WAVE_MM))
    field = scipy.fft.irfft2(spectrum * frequency ** np.float32(-beta / 2), s=(rows, columns))[: shape[0], : shape[1]]
    field -= field.mean()
    return np.asarray(field / field.std(), dtype=np.float32)


def spectral_exponent(
    image: NDArray[np.floating], spacing_mm: float, band_per_mm: tuple[float, float] = (0.1, 0.7)
) -> float:
    """β of an image region: the negative slope of log power over log frequency, Hann-windowed, rings averaged.

    Args:
        band_per_mm: the cycles per mm that the line is fitted to; Burgess et al. (2001) fitted 0.07 to 1.
    """
    windows = (np.hanning(length) for length in image.shape)
    window = np.outer(*windows)
    centred = image - (image * window).sum() / window.sum()
    power = np.abs(np.fft.fft2(centred * window)) ** 2
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, spacing_mm) for n in image.shape), indexing="ij"))
    low, high = band_per_mm
    edges = np.geomspace(low, high, 13)
    rings = [(frequency >= a) & (frequency < b) for a, b in itertools.pairwise(edges)]
    points = [(np.log(frequency[ring].mean()), np.log(power[ring].mean())) for ring in rings if ring.any()]
    slope = np.polyfit(*np.transpose(points), deg=1)[0]
    return float(-slope)
