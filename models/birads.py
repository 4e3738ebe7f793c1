"""From a calibrated probability to the BI-RADS category that it implies (ACR BI-RADS Atlas, 5th edition, 2013).

The atlas gives each category a likelihood of malignancy. Read backwards it makes a category of a probability; a score
that is not calibrated implies none (Calibration.likelihood is the only caller). Negative and benign (1, 2) stand for
"essentially 0", which no score proves and no radiologist reaches: their 1 and 2 leave about 0.8 cancers in 1,000 exams
(Lehman et al., Radiology 2017, 283:49-58). So "1-2" is implied where malignancy is no more likely than in anybody who
comes to screening, and 3 above that, up to 2 %. The rule is absolute, the same at every site's prevalence.
"""

from __future__ import annotations

from models.types import Category

UPPER_LIMITS = (
    (0.02, Category.THREE),
    (0.10, Category.FOUR_A),
    (0.50, Category.FOUR_B),
)
"""The highest likelihood of each category, inclusive."""
HIGHLY_SUGGESTIVE = 0.95
"""The lowest likelihood of category 5, inclusive."""
SUSPICIOUS = frozenset({Category.ZERO, Category.FOUR, Category.FOUR_A, Category.FOUR_B, Category.FOUR_C, Category.FIVE})
"""Counted as positive where categories are compared: above 3, and 0, which is a recall. 6 is left out there."""


def implied_category(probability: float, *, essentially_nil: float) -> Category:
    """The category that a probability of malignancy (0..1) implies.

    Args:
        essentially_nil: the highest probability that implies "1-2": that of malignancy in screening, at the level that
            the probability is of (models/calibration.py).
    """
    for highest, category in ((essentially_nil, Category.ONE_OR_TWO), *UPPER_LIMITS):
        if probability <= highest:
            return category
    return Category.FIVE if probability >= HIGHLY_SUGGESTIVE else Category.FOUR_C


def is_suspicious(category: Category) -> bool:
    """Whether a category calls for more: above 3, or 0 (a recall).

    Raises:
        ValueError: the category is 6, known cancer, which is never compared.
    """
    if category is Category.SIX:
        raise ValueError("category 6 is known cancer and is not compared")
    return category in SUSPICIOUS
