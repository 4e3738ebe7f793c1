"""Places the histogram of Dice coefficients; a template draws it as SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

BINS = 10
_LEFT, _TOP, _WIDTH, _HEIGHT = 60, 40, 700, 160


@dataclass(frozen=True)
class Column:
    """The number of lesions whose Dice is from `low` to `low` + 1 / BINS."""

    low: float
    count: int
    x: float
    y: float
    height: float


@dataclass(frozen=True)
class DiceChart:
    """`columns` stand on `floor`."""

    columns: tuple[Column, ...]
    column_width: float = _WIDTH / BINS - 6
    floor: int = _TOP + _HEIGHT
    left: int = _LEFT
    width: int = _LEFT + _WIDTH + 10
    height: int = _TOP + _HEIGHT + 44


def dice_chart(dices: Sequence[float]) -> DiceChart | None:
    """The histogram; None where there is nothing to show."""
    if not dices:
        return None
    counts = Counter(min(BINS - 1, int(dice * BINS)) for dice in dices)
    most = max(counts.values())
    columns = []
    for place in range(BINS):
        height = _HEIGHT * counts[place] / most
        x = _LEFT + place * _WIDTH / BINS + 3
        columns.append(Column(place / BINS, counts[place], x, _TOP + _HEIGHT - height, height))
    return DiceChart(tuple(columns))
