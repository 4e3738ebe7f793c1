"""Does a picture still show what the stored values tell apart?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 200_000
_LEAST_RANGE = 0.25
"""Of the display scale, from the 0.5th to the 99.5th percentile of the picture. Twelve bits behind a window of 16, or
eight behind one of 12, have one sixteenth; a mammogram as its maker shows it has nearly all."""
_LEAST_SPREAD = 0.02
"""Of the display scale, from the 5th to the 95th percentile on the side of Otsu's threshold that shows the most."""
_VARIED = 0.01
"""Of the range of the stored values: from this spread on, a side of the threshold is more than its noise."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """What the stored values of a picture tell apart.

    Attributes:
        sample: flat indices of the pixels that are looked at.
        whole: whether the percentiles of the sample differ; otherwise only its extremes do.
        sides: which of the sample lie below and above Otsu's threshold (air and breast, in a mammogram), where the
            values there differ.
    """

    sample: NDArray[np.intp]
    whole: bool
    sides: tuple[NDArray[np.bool_], ...]

    def shown_by(self, display: NDArray[Any]) -> bool:
        """Whether a picture on the display scale, 0 to 1, shows it: neither all dark, all bright, nor a silhouette."""
        values = display.ravel()[self.sample]
        low, high = _range(values, self.whole)
        return high - low >= _LEAST_RANGE and self._tells_apart(values)

    def kept_by(self, values: NDArray[Any]) -> bool:
        """Whether values of any scale still hold it."""
        kept = values.ravel()[self.sample].astype(np.float64)
        if not np.isfinite(kept).all():
            return False
        low, high = _range(kept, self.whole)
        return high > low and self._tells_apart((kept - low) / (high - low))

    def least_and_greatest(self, values: NDArray[Any]) -> tuple[float, float]:
        """The range of the values without the few that lie outside of all others."""
        return _range(values.ravel()[self.sample], self.whole)

    def _tells_apart(self, values: NDArray[Any]) -> bool:
        return not self.sides or any(_spread(values[side]) >= _LEAST_SPREAD for side in self.sides)


def contrast_of(stored: NDArray[Any], inside: NDArray[np.bool_]) -> Contrast | None:
    """What the stored values within the picture tell apart; None where there are no two of them.

    Args:
        inside: where `stored` holds the picture and no padding.
    """
    places = np.flatnonzero(inside)
    if not places.size:
        return None
    picture = stored.ravel()[places]
    least, greatest = int(picture.argmin()), int(picture.argmax())
    if picture[least] == picture[greatest]:
        return None
    # The extremes are always looked at: a picture may be two dots.
    sample = np.append(places[:: 1 + places.size // _SAMPLE], places[[least, greatest]])
    values = stored.ravel()[sample].astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5))
    whole = bool(high > low)
    if not whole:
        return Contrast(sample, whole, ())
    above = values > otsu(np.clip(values, low, high))
    sides = tuple(side for side in (above, ~above) if side.any() and _spread(values[side]) > _VARIED * (high - low))
    return Contrast(sample, whole, sides)


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


def _range(values: NDArray[Any], whole: bool) -> tuple[float, float]:
    low, high = np.percentile(values, (0.5, 99.5)) if whole else (values.min(), values.max())
    return float(low), float(high)


def _spread(values: NDArray[Any]) -> float:
    low, high = np.percentile(values, (5, 95))
    return float(high - low)
