"""The BI-RADS category whose likelihood range holds a calibrated probability (ACR BI-RADS Atlas, 5th edition, 2013).

The atlas gives each category a likelihood of malignancy. The reverse, from a probability to a category, gives a range
and not an assessment: 3, 4 and 5 follow a diagnostic work-up. From screening views a machine can state only a
probability, and whether it is above the site's recall threshold. An uncalibrated score gives neither
(Calibration.likelihood is the only caller of `implied_category`).

The atlas's likelihood of negative and benign (1, 2) is "essentially 0". No score proves that, and radiologists do not
reach
it: their 1 and 2 leave about 0.8 cancers in 1,000 exams (Lehman et al., Radiology 2017, 283:49-58). So the upper limit
of 1 and 2 is the prevalence of malignancy in screening. The rule is absolute: the same at every site's prevalence.
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
"""The highest likelihood of 1 and 2, inclusive: that of a cancer in screening, per breast (image, lesion) and per
exam."""
RANGES = {
    Category.THREE: (0.0, 0.02),
    Category.FOUR: (0.02, 0.95),
    Category.FOUR_A: (0.02, 0.10),
    Category.FOUR_B: (0.10, 0.50),
    Category.FOUR_C: (0.50, 0.95),
    Category.FIVE: (0.95, 1.0),
}
"""The likelihood range of each category above 2 that has one. 0 means more imaging is needed, 6 is known cancer."""
_NEGATIVE = frozenset({Category.ONE, Category.TWO, Category.ONE_OR_TWO})
SUSPICIOUS = frozenset({Category.ZERO, Category.FOUR, Category.FOUR_A, Category.FOUR_B, Category.FOUR_C, Category.FIVE})
"""The radiologist's categories that count as a recall: above 3, and 0. 6 is not compared."""


def implied_category(probability: float, *, essentially_nil: float) -> Category:
    """The category whose likelihood range holds a probability of malignancy (0..1).

    Args:
        essentially_nil: the highest probability of "1-2": the prevalence of malignancy in screening at the level of
            the probability (models/birads/calibration.py).
    """
    rounded = in_percent(probability) / 100
    for highest, category in ((essentially_nil, Category.ONE_OR_TWO), *UPPER_LIMITS):
        if rounded <= written(highest):
            return category
    return Category.FIVE if rounded >= written(HIGHLY_SUGGESTIVE) else Category.FOUR_C


def is_suspicious(category: Category) -> bool:
    """Whether a radiologist's category is a recall: above 3, or 0.

    Raises:
        ValueError: the category is 6, known cancer, which is never compared.
    """
    if category is Category.SIX:
        raise ValueError("category 6 is known cancer and is not compared")
    return category in SUSPICIOUS


def points_away(probability: float, category: Category, essentially_nil: float) -> Decimal | None:
    """The distance of a probability from a category's range, in percentage points: positive above the range, negative
    below it, 0 within it.

    None if the category has no likelihood range (0 and 6).
    """
    if category in _NEGATIVE:
        low, high = 0.0, essentially_nil
    elif category in RANGES:
        low, high = RANGES[category]
    else:
        return None
    rounded = in_percent(probability)
    return max(rounded - 100 * written(high), Decimal(0)) + min(rounded - 100 * written(low), Decimal(0))
