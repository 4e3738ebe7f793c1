"""Checks that a display transformation keeps the contrast of the stored values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 200_000
_TONES = 4096
_LEAST_RANGE = 0.25
"""Least part of the display scale between the 0.5th and the 99.5th percentile of the image. 12-bit values under a
window for 16 bits, or 8-bit values under one for 12, fill one sixteenth; a mammogram under its own fills nearly all."""
_LEAST_SPREAD = 0.02
"""Least part of the display scale between the 5th and the 95th percentile, on one side of Otsu's threshold."""
_VARIED = 0.01
"""Part of the range of the stored values. A side of the threshold with a smaller spread is noise."""

_APART = 2
"""A value is an outlier if its distance from all others exceeds their range by this factor."""
_MOST_OF_A_PLATEAU = 0.25
"""Part of the image: a larger plateau is air or the breast."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """The contrast of the stored values of an image. Transformations are judged by what they make of these values.

    Attributes:
        tones: a sample of the stored values (see `tones_of`) without outlying plateaus.
        whole: whether the 0.5th and the 99.5th percentile of the sample differ; if not, only its extremes differ.
        sides: masks over the sample, of the values above and below Otsu's threshold (breast and air in a mammogram);
            a side whose values hardly differ is left out.
    """

    tones: NDArray[Any]
    whole: bool
    sides: tuple[NDArray[np.bool_], ...]

    def shown_by(self, display: NDArray[Any]) -> bool:
        """Whether the tones on the display scale, 0..1, keep the contrast: not all dark, all bright or a silhouette."""
        low, high = self.least_and_greatest(display)
        return high - low >= _LEAST_RANGE and self._tells_apart(display)

    def kept_by(self, values: NDArray[Any]) -> bool:
        """Whether the tones on any other scale keep the contrast."""
        if not np.isfinite(values).all():
            return False
        low, high = self.least_and_greatest(values)
        return high > low and self._tells_apart((values - low) / (high - low))

    def least_and_greatest(self, values: NDArray[Any]) -> tuple[float, float]:
        """The 0.5th and 99.5th percentile of the tones on any scale; their extremes if these are equal."""
        low, high = np.percentile(values, (0.5, 99.5)) if self.whole else (values.min(), values.max())
        return float(low), float(high)

    def _tells_apart(self, values: NDArray[Any]) -> bool:
        return not self.sides or any(_spread(values[side]) >= _LEAST_SPREAD for side in self.sides)


def tones_of(stored: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[Any]:
    """A sorted, even sample of the stored values inside the image, with the least and the greatest.

    The reading stores it, so that the presentation state is chosen by the same values as the model's input was.

    Args:
        inside: mask of `stored`: True where there is no padding.
    """
    picture = stored[inside]
    if not picture.size:
        return picture
    drawn = np.sort(picture[:: 1 + picture.size // _SAMPLE])
    evenly = np.linspace(0, drawn.size - 1, min(_TONES, drawn.size)).round().astype(np.intp)
    # The extremes are always included: an image may consist of two dots.
    return np.concatenate(([picture.min()], drawn[evenly], [picture.max()])).astype(stored.dtype)


def contrast_of(tones: NDArray[Any]) -> Contrast | None:
    """The contrast of the stored values of an image; None if all values are equal.

    A plateau far from all other values (a saturated border, a burned-in label, padding that the header does not state)
    is left out: it would compress the rest into a few per cent of the range.

    Args:
        tones: see `tones_of`.
    """
    if not tones.size or tones[0] == tones[-1]:
        return None
    tones = _without_plateaus(tones)
    values = tones.astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5))
    whole = bool(high > low)
    if not whole:
        return Contrast(tones, whole, ())
    above = values > otsu(np.clip(values, low, high))
    sides = tuple(side for side in (above, ~above) if side.any() and _spread(values[side]) > _VARIED * (high - low))
    return Contrast(tones, whole, sides)


def _without_plateaus(tones: NDArray[Any]) -> NDArray[Any]:
    """The tones without a greatest or least value that is an outlier and rare."""
    least_size = (1 - _MOST_OF_A_PLATEAU) * tones.size
    while True:
        values = np.unique(tones).astype(np.float64)
        if values.size < 4:  # both ends, and at least two values between them
            return tones
        if values[-1] - values[-2] > _APART * (values[-2] - values[0]):
            rest = tones[tones != tones[-1]]
        elif values[1] - values[0] > _APART * (values[-1] - values[1]):
            rest = tones[tones != tones[0]]
        else:
            return tones
        if rest.size < least_size:
            return tones
        tones = rest


def otsu(sample: NDArray[Any]) -> float:
    """Otsu's threshold (IEEE Trans. SMC 9, 1979): the split with the greatest variance between both sides."""
    counts, edges = np.histogram(sample, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    mean_below = sums / np.maximum(below, 1)
    mean_above = (sums[-1] - sums) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * (mean_below - mean_above) ** 2)])


def _spread(values: NDArray[Any]) -> float:
    low, high = np.percentile(values, (5, 95))
    return float(high - low)
