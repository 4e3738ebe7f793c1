"""Does a picture still show what the stored values tell apart?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 200_000
_TONES = 4096
_LEAST_RANGE = 0.25
"""Of the display scale, from the 0.5th to the 99.5th percentile of the picture. Twelve bits behind a window of 16, or
eight behind one of 12, have one sixteenth; a mammogram as its maker shows it has nearly all."""
_LEAST_SPREAD = 0.02
"""Of the display scale, from the 5th to the 95th percentile on the side of Otsu's threshold that shows the most."""
_VARIED = 0.01
"""Of the range of the stored values: from this spread on, a side of the threshold is more than its noise."""

_APART = 2
"""A value lies apart that is farther from all others than so many times their range."""
_MOST_OF_A_PLATEAU = 0.25
"""Of the picture; what is more, is air or a breast."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """What the stored values of a picture tell apart.

    Attributes:
        tones: a sample of the stored values (see `tones_of`) without plateaus that lie apart; what is judged is what
            becomes of them.
        whole: whether the percentiles of the sample differ; otherwise only its extremes do.
        sides: which of the sample lie below and above Otsu's threshold (air and breast, in a mammogram), where the
            values there differ.
    """

    tones: NDArray[Any]
    whole: bool
    sides: tuple[NDArray[np.bool_], ...]

    def shown_by(self, display: NDArray[Any]) -> bool:
        """Whether the tones on the display scale, 0 to 1, show it: neither all dark, all bright, nor a silhouette."""
        low, high = self.least_and_greatest(display)
        return high - low >= _LEAST_RANGE and self._tells_apart(display)

    def kept_by(self, values: NDArray[Any]) -> bool:
        """Whether the tones on any other scale still hold it."""
        if not np.isfinite(values).all():
            return False
        low, high = self.least_and_greatest(values)
        return high > low and self._tells_apart((values - low) / (high - low))

    def least_and_greatest(self, values: NDArray[Any]) -> tuple[float, float]:
        """The range of the tones on any scale without the few that lie outside of all others."""
        low, high = np.percentile(values, (0.5, 99.5)) if self.whole else (values.min(), values.max())
        return float(low), float(high)

    def _tells_apart(self, values: NDArray[Any]) -> bool:
        return not self.sides or any(_spread(values[side]) >= _LEAST_SPREAD for side in self.sides)


def tones_of(stored: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[Any]:
    """A sample of the stored values within the picture, rising, evenly drawn of all that are there, with the least and
    the greatest. The reading keeps it, so that a presentation state is chosen by the same values as the picture was.

    Args:
        inside: where `stored` holds the picture and no padding.
    """
    picture = stored[inside]
    if not picture.size:
        return picture
    drawn = np.sort(picture[:: 1 + picture.size // _SAMPLE])
    evenly = np.linspace(0, drawn.size - 1, min(_TONES, drawn.size)).round().astype(np.intp)
    # The extremes are always looked at: a picture may be two dots.
    return np.concatenate(([picture.min()], drawn[evenly], [picture.max()])).astype(stored.dtype)


def contrast_of(tones: NDArray[Any]) -> Contrast | None:
    """What the stored values of a picture tell apart; None where there are no two of them.

    A plateau far beyond all other values, such as a saturated border, a burned label or padding that the header
    does not name, is no part of the picture that is judged: it would leave the rest in a few per cent of the range.

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
    """The tones without a greatest or least value that lies apart, and stands in few of them."""
    least_size = (1 - _MOST_OF_A_PLATEAU) * tones.size
    while True:
        values = np.unique(tones).astype(np.float64)
        if values.size < 4:  # two of the rest, at least, and both ends
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
