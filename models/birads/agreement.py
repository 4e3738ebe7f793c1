"""A breast or an exam, what the models imply and what a radiologist assigned: whether they agree. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.birads.calibration import logit
from models.birads.categories import is_suspicious
from models.birads.concordance import agreement
from models.types.birads import RECALL_THRESHOLD, Agreement, Category, Likelihood

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

IMPLIED = (
    Category.ONE_OR_TWO,
    Category.THREE,
    Category.FOUR_A,
    Category.FOUR_B,
    Category.FOUR_C,
    Category.FIVE,
)
ASSIGNED = (
    Category.ONE,
    Category.TWO,
    Category.THREE,
    Category.ZERO,
    Category.FOUR,
    Category.FOUR_A,
    Category.FOUR_B,
    Category.FOUR_C,
    Category.FIVE,
    Category.SIX,
)
"""As columns stand: 4 before its letters, 6, which is known and not compared, last."""
RULE = (
    "Recall against no recall: the models' probability above the site's recall threshold, the radiologist's category "
    "above 3 or 0; 6, known cancer, is left out. Agreement in this sense is no agreement of categories."
)


@dataclass(frozen=True)
class Compared:
    """What is said of one breast or one exam.

    Attributes:
        patient: whose it is: intervals draw together what one patient has.
        score: the models' (0..1); None: not read.
        likelihood: None where the score is not calibrated at this level.
        prior: the share of malignant ones (0..1 exclusive) that the likelihood holds for; None without a likelihood.
        assigned: the radiologist's category; None where none is known.
        malignant: the pathology; None where it is not known.
        recall_threshold: the site's: a probability (0..1) above it is a recall.
    """

    patient: str
    score: float | None
    likelihood: Likelihood | None = None
    prior: float | None = None
    assigned: Category | None = None
    malignant: bool | None = None
    recall_threshold: float = RECALL_THRESHOLD

    @property
    def implied_suspicious(self) -> bool | None:
        return None if self.likelihood is None else self.likelihood.is_recalled(self.recall_threshold)

    @property
    def assigned_suspicious(self) -> bool | None:
        """None for category 6 too, which is not compared."""
        return None if self.assigned in (None, Category.SIX) else is_suspicious(self.assigned)

    @property
    def agreement(self) -> Agreement:
        """By RULE."""
        ours, theirs = self.implied_suspicious, self.assigned_suspicious
        if ours is None or theirs is None:
            return Agreement.NOT_COMPARED
        return agreement(ours, theirs)

    @property
    def truth(self) -> bool | None:
        """The pathology that something may be held against: None where the cancer was known before (6) or not read."""
        return None if self.score is None or self.assigned is Category.SIX else self.malignant


def kappa(one: Bools, other: Bools) -> float:
    """Cohen's kappa of two raters (Educational and Psychological Measurement 20, 1960) (binary raters).

    NaN where both call everything the same: then there is nothing beyond chance to agree on.
    """
    by_chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    return float((np.mean(one == other) - by_chance) / (1 - by_chance)) if by_chance < 1 else math.nan


def is_calibrated(some: Sequence[Compared]) -> bool:
    """Whether every one has a likelihood, and there is one."""
    return bool(some) and all(one.likelihood is not None for one in some)


def ranking(some: Sequence[Compared]) -> Floats:
    """What the models rank by: probabilities where all are calibrated, otherwise scores. All were read."""
    if is_calibrated(some):
        return probabilities(some)
    return np.array([math.nan if one.score is None else one.score for one in some])


def probabilities(some: Sequence[Compared], share: float | None = None) -> Floats:
    """Of those with a likelihood: as stated, or where `share` (0..1 exclusive) of them are malignant.

    The odds shift with the prior, as in models/birads/calibration.py.
    """
    stated = [(one.likelihood.probability, one.prior) for one in some if one.likelihood is not None]
    if share is None:
        return np.array([probability for probability, _ in stated])
    odds = (logit(probability) + logit(share) - logit(prior or share) for probability, prior in stated)
    return np.array([1 / (1 + math.exp(-share)) for share in odds])
