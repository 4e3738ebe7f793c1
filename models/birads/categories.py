"""From a calibrated probability to what BI-RADS says of it (ACR BI-RADS Atlas, 5th edition, 2013).

The atlas gives each category a likelihood of malignancy. Read backwards it makes a range of a probability, not an
assessment: 3, 4 and 5 follow a diagnostic work-up, and from screening views the most that a machine can say is a
probability, and whether that lies above the site's recall threshold. A score that is not calibrated says neither
(Calibration.likelihood is the only caller of `implied_category`).

Negative and benign (1, 2) stand for "essentially 0", which no score proves and no radiologist reaches: their 1 and 2
leave about 0.8 cancers in 1,000 exams (Lehman et al., Radiology 2017, 283:49-58). So the range of 1 and 2 ends where
malignancy is no more likely than in anybody who comes to screening. The rule is absolute, the same at every site's
prevalence.
"""

from __future__ import annotations

from decimal import Decimal

from models.types.birads import Category, in_percent, written

UPPER_LIMITS = (
    (0.02, Category.THREE),
    (0.10, Category.FOUR_A),
    (0.50, Category.FOUR_B),
)
"""The highest likelihood of each category, inclusive."""
HIGHLY_SUGGESTIVE = 0.95
"""The lowest likelihood of category 5, inclusive."""
NIL_IN_BREAST, NIL_IN_EXAM = 0.003, 0.006
"""The highest likelihood of 1 and 2, inclusive: that of a cancer in screening, of a breast (an image, a lesion) and
of an exam."""
RANGES = {
    Category.THREE: (0.0, 0.02),
    Category.FOUR: (0.02, 0.95),
    Category.FOUR_A: (0.02, 0.10),
    Category.FOUR_B: (0.10, 0.50),
    Category.FOUR_C: (0.50, 0.95),
    Category.FIVE: (0.95, 1.0),
}
"""The likelihoods of each category above 2 that has any, from and to. 0 needs more imaging, 6 is known."""
_NEGATIVE = frozenset({Category.ONE, Category.TWO, Category.ONE_OR_TWO})
SUSPICIOUS = frozenset({Category.ZERO, Category.FOUR, Category.FOUR_A, Category.FOUR_B, Category.FOUR_C, Category.FIVE})
"""Counted as a recall where a radiologist is compared: above 3, and 0. 6 is left out there."""


def implied_category(probability: float, *, essentially_nil: float) -> Category:
    """The category whose likelihood range holds a probability of malignancy (0..1).

    Args:
        essentially_nil: the highest probability of "1-2": that of malignancy in screening, at the level that the
            probability is of (models/birads/calibration.py).
    """
    rounded = in_percent(probability) / 100
    for highest, category in ((essentially_nil, Category.ONE_OR_TWO), *UPPER_LIMITS):
        if rounded <= written(highest):
            return category
    return Category.FIVE if rounded >= written(HIGHLY_SUGGESTIVE) else Category.FOUR_C


def is_suspicious(category: Category) -> bool:
    """Whether a radiologist's category calls for more: above 3, or 0 (a recall).

    Raises:
        ValueError: the category is 6, known cancer, which is never compared.
    """
    if category is Category.SIX:
        raise ValueError("category 6 is known cancer and is not compared")
    return category in SUSPICIOUS


def points_away(probability: float, category: Category, essentially_nil: float) -> Decimal | None:
    """How many percentage points a probability lies above (or, below 0, under) a category's range; 0 within it.

    None where the category stands for no likelihood (0 and 6).
    """
    if category in _NEGATIVE:
        low, high = 0.0, essentially_nil
    elif category in RANGES:
        low, high = RANGES[category]
    else:
        return None
    rounded = in_percent(probability)
    return max(rounded - 100 * written(high), Decimal(0)) + min(rounded - 100 * written(low), Decimal(0))
