"""Simulates the grey scale, resolution and noise of another scanner, film or archive. Random numbers come from
`draw`."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_GAMMA = 1.8
"""The gamma is drawn from 1/1.8 to 1.8."""
_WINDOW = 0.12
"""Largest shift of each end of the contrast window, as a share of the range of greys."""
_COARSER = (0.4, 0.9)
_BLUR_PX = (0.4, 1.4)
_SHARPER = (0.3, 1.5)
_NOISE = (0.005, 0.04)
_JPEG_QUALITY = (45, 95)


def relit(pixels: NDArray[np.float32], draw: np.random.Generator, strength: float = 1.0) -> NDArray[np.float32]:
    """Changes gamma and contrast window; at random also resolution, blur or sharpness, noise, and JPEG artefacts.

    Args:
        pixels: rows × columns, float32 in 0..1.
        draw: the source of random numbers.
        strength: 0: no change; 1: the ranges and probabilities of this module.

    Returns:
        The same shape and range.
    """
    if strength == 0:
        return pixels

    def happens(probability: float) -> bool:
        return bool(draw.random() < probability * strength)

    pixels = np.power(pixels, np.float32(_GAMMA ** (strength * draw.uniform(-1, 1))))
    dark, bright = np.array((0, 1)) + _WINDOW * strength * draw.uniform(-1, 1, 2)
    pixels = ((pixels - dark) / (bright - dark)).clip(0, 1).astype(np.float32)
    if happens(0.3):
        pixels = _coarser(pixels, draw.uniform(*_COARSER))
    if happens(0.25):
        pixels = _blurred(pixels, draw.uniform(*_BLUR_PX))
    elif happens(0.25):
        pixels = pixels + np.float32(draw.uniform(*_SHARPER)) * (pixels - _blurred(pixels, draw.uniform(1, 2)))
    if happens(0.5):
        pixels = pixels + _noise(pixels.shape, draw)
    if happens(0.4):
        pixels = _through_jpeg(pixels, int(draw.integers(*_JPEG_QUALITY)))
    return pixels.clip(0, 1).astype(np.float32)


def _coarser(pixels: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    rows, columns = pixels.shape
    small = cv2.resize(pixels, (round(columns * share), round(rows * share)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _blurred(pixels: NDArray[np.float32], spread_px: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), spread_px), dtype=np.float32)


def _noise(shape: tuple[int, ...], draw: np.random.Generator) -> NDArray[np.float32]:
    """Noise: independent per pixel, like a detector's, or spatially correlated, like film grain."""
    grain = draw.standard_normal(shape, dtype=np.float32)
    if draw.random() < 0.5:
        grain = _blurred(grain, 1.0) * np.float32(3)
    return np.float32(draw.uniform(*_NOISE)) * grain


def _through_jpeg(pixels: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    levels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), dtype=np.float32) / np.float32(255)
