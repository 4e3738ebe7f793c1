"""Clusters of microcalcifications put into a real mammogram, with the truth of every grain.

A grain takes attenuation × thickness from the logarithm of the exposure. How many greys that is follows from the noise
round the place: the noise of the exposure is known from the quanta that reach a pixel (Poisson), and what the detector
and the image processing make of it is measured in the picture. (Processing lifts fine detail and flattens coarse
structure, so the range of greys from fat to gland does not tell it.) Grains are blurred as the detector blurs
(`detector.BLUR_MM`), the noise behind them rises as fewer quanta come through, and the picture is stored as an 8-bit
JPEG. A sham is the same picture, stored alike, without grains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.phantom.detector import BLUR_MM
from models.phantom.microcalcifications import Grain, GrainCluster
from models.types.region import Box, Mask

JPEG_QUALITY = 92
"""Both sides are stored by it: pictures with grains and shams."""
MARGIN_MM = 1.0
"""The outline of a cluster leaves this much beside its outermost grains."""
_FINEST_MM = 0.02
"""Grains are drawn on pixels no coarser than this, and averaged."""
_QUANTA_PER_MM2 = 4e5
"""Quanta that are left behind an average compressed breast (see `detector`)."""
_DQE = 0.5
"""The share of them that counts: the detective quantum efficiency of a flat-panel detector for mammography at low
spatial frequencies is about 0.5 (Marshall et al., Phys Med Biol 56, 2011: technical characterisation of systems)."""
_BAND_MM = (0.07, 0.112)
"""The standard deviations of two blurs, between which the noise is measured: structures of 0.1 to 0.2 mm."""
_REACH_PX = 15
_VISIBLE = 0.5
"""A pixel belongs to a grain where at least this share of its peak contrast is left after the blur."""


@dataclass(frozen=True, eq=False)
class Inserted:
    """A picture with a cluster, or a sham.

    Attributes:
        pixels: rows × columns, float32 in 0..1.
        grains: one mask per grain, as far as a pixel shows it; none in a sham.
        cluster: the outline of all; None in a sham.
        contrast: the median over the grains of their peak contrast over the local noise's standard deviation; 0 in a
            sham.
    """

    pixels: NDArray[np.float32]
    grains: tuple[Mask, ...]
    cluster: Mask | None
    contrast: float


def insert(
    pixels: NDArray[np.float32],
    cluster: GrainCluster,
    centre: tuple[int, int],
    spacing_mm: float,
    draw: np.random.Generator,
) -> Inserted:
    """The picture with the cluster round `centre` (row, column), stored.

    Args:
        pixels: rows × columns, float32 in 0..1, dense tissue bright.
        cluster: what is put in; it lies within the picture.
        centre: in pixels.
        spacing_mm: between pixels.
        draw: where the noise comes from.
    """
    taken = np.zeros(pixels.shape, dtype=np.float32)
    masks, peaks = [], []
    for grain in cluster.grains:
        thickness, top, left = thickness_mm(grain, centre, spacing_mm)
        alone = _blurred(thickness * np.float32(cluster.attenuation_per_mm), spacing_mm)
        part = slice(top, top + alone.shape[0]), slice(left, left + alone.shape[1])
        np.maximum(taken[part], alone, out=taken[part])
        masks.append(_placed(alone >= _VISIBLE * alone.max(), top, left))
        peaks.append(float(alone.max()))
    reach = int(np.ceil(cluster.reach_mm / spacing_mm))
    around = tuple(slice(max(0, at - reach), at + reach + 1) for at in centre)
    noise = noise_of(pixels[around], spacing_mm)
    gain = noise / exposure_noise(spacing_mm)
    behind = noise * np.sqrt(np.expm1(taken)) * draw.standard_normal(taken.shape, dtype=np.float32)
    contrast = float(np.median(peaks)) / exposure_noise(spacing_mm)
    changed = (pixels + gain * taken + behind).astype(np.float32)
    return Inserted(stored(changed), tuple(masks), _hull(masks, pixels.shape, spacing_mm), contrast)


def sham(pixels: NDArray[np.float32]) -> Inserted:
    """The picture without a cluster, stored as one with it."""
    return Inserted(stored(pixels), (), None, 0.0)


def stored(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """As the picture comes back from an 8-bit JPEG file."""
    levels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), dtype=np.float32) / np.float32(255)


def exposure_noise(spacing_mm: float) -> float:
    """The standard deviation of the natural logarithm of a pixel's exposure behind an average breast."""
    return float(1 / np.sqrt(_QUANTA_PER_MM2 * spacing_mm**2 * _DQE))


def noise_of(pixels: NDArray[np.float32], spacing_mm: float) -> float:
    """The standard deviation of the noise, as white noise of the same strength at the size of a grain would have it.

    Measured between two blurs (`_BAND_MM`), by the median, which anatomy and grains disturb less. Differences between
    neighbouring pixels alone would not tell it: many mammograms come with these smoothed away. At least a third of one
    of 255 steps, as rounding leaves it.
    """
    impulse = np.zeros((2 * _REACH_PX + 1, 2 * _REACH_PX + 1), dtype=np.float32)
    impulse[_REACH_PX, _REACH_PX] = 1
    of_white = float(np.linalg.norm(_band(impulse, spacing_mm)))
    spread = float(np.median(np.abs(_band(pixels, spacing_mm)))) / 0.6745
    return max(spread / of_white, 1 / (3 * 255))


def _band(pixels: NDArray[np.float32], spacing_mm: float) -> NDArray[np.float32]:
    fine, coarse = (cv2.GaussianBlur(pixels, (0, 0), sigma / spacing_mm) for sigma in _BAND_MM)
    return np.asarray(fine - coarse, dtype=np.float32)


def thickness_mm(grain: Grain, centre: tuple[int, int], spacing_mm: float) -> tuple[NDArray[np.float32], int, int]:
    """How much of a grain the beam crosses in each pixel of a part of the picture round it, in mm.

    Args:
        centre: the cluster's, (row, column).

    Returns:
        The part, with room for the blur; its first row and its first column in the picture.
    """
    finer = max(1, int(np.ceil(spacing_mm / _FINEST_MM)))
    shift = (np.array(centre[::-1]) + 0.5) * spacing_mm
    starts, ends = grain.starts + shift, grain.ends + shift
    both = np.concatenate((starts, ends))
    rim = grain.widths.max() / 2 + 4 * BLUR_MM
    low = np.floor((both.min(axis=0) - rim) / spacing_mm).astype(int)
    high = np.ceil((both.max(axis=0) + rim) / spacing_mm).astype(int)
    step = spacing_mm / finer
    across, down = ((np.arange(a * finer, b * finer) + 0.5) * step for a, b in zip(low, high, strict=True))
    places = np.stack(np.meshgrid(across, down), axis=-1)
    fine = np.zeros(places.shape[:2])
    for start, end, width in zip(starts, ends, grain.widths, strict=True):
        line = end - start
        share = ((places - start) @ line / max(line @ line, 1e-12)).clip(0, 1)
        off = np.linalg.norm(places - start - share[..., None] * line, axis=-1)
        np.maximum(fine, width * np.sqrt(np.clip(1 - (2 * off / width) ** 2, 0, None)), out=fine)
    shape = high[1] - low[1], finer, high[0] - low[0], finer
    return fine.reshape(shape).mean(axis=(1, 3)).astype(np.float32), int(low[1]), int(low[0])


def _blurred(taken: NDArray[np.float32], spacing_mm: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(taken, (0, 0), max(BLUR_MM / spacing_mm, 0.1)), dtype=np.float32)


def _placed(drawn: NDArray[np.bool_], top: int, left: int) -> Mask:
    """What is drawn in a part of the picture that begins at (top, left), as a mask of the picture."""
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    crop = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    first_row, first_column = top + int(rows[0]), left + int(columns[0])
    box = Box(first_row, first_column, first_row + crop.shape[0], first_column + crop.shape[1])
    return Mask(box, np.ascontiguousarray(crop))


def _hull(grains: Sequence[Mask], shape: tuple[int, ...], spacing_mm: float) -> Mask | None:
    boxes = [grain.box for grain in grains]
    corners = [(x, y) for box in boxes for x in (box.left, box.right - 1) for y in (box.top, box.bottom - 1)]
    outline = np.zeros(shape, dtype=np.uint8)
    cv2.fillConvexPoly(outline, cv2.convexHull(np.array(corners, dtype=np.int32)), 1)
    margin = 2 * round(MARGIN_MM / spacing_mm) + 1
    wide = cv2.dilate(outline, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (margin, margin)))
    return Mask.from_full(wide.astype(np.bool_))
