"""Agreement between the models' implied category and the radiologist's, per breast or exam. Pure functions."""

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
"""In the order of a table's columns: 4 before 4A to 4C; last 6, which is known cancer and not compared."""
RULE = (
    "Recall against no recall: the models' probability above the site's recall threshold, the radiologist's category "
    "above 3 or 0; 6, known cancer, is left out. This is not agreement of the categories themselves."
)


@dataclass(frozen=True)
class Compared:
    """The models' and the radiologist's assessment of one breast or one exam.

    Attributes:
        patient: the bootstrap resamples by patient.
        score: the models' (0..1); None: not read.
        likelihood: None where the score is not calibrated at this level, or nothing negative is stated because not all
            of it was read.
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
        """None without a category, and for category 6, which is not compared."""
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
        """The pathology for comparisons: None if the cancer was known before (6), or if the models did not read it."""
        return None if self.score is None or self.assigned is Category.SIX else self.malignant


def kappa(first: Bools, second: Bools) -> float:
    """Cohen's kappa of two binary raters (Educational and Psychological Measurement 20, 1960).

    NaN if both raters give the same single answer to all: the expected agreement by chance is then 1.
    """
    by_chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    return float((np.mean(first == second) - by_chance) / (1 - by_chance)) if by_chance < 1 else math.nan


def is_calibrated(cases: Sequence[Compared]) -> bool:
    """Whether there are cases, and each has a likelihood."""
    return bool(cases) and all(case.likelihood is not None for case in cases)


def ranking(cases: Sequence[Compared]) -> Floats:
    """The values that rank the cases: probabilities if all are calibrated, otherwise scores; NaN without a score."""
    if is_calibrated(cases):
        return probabilities(cases)
    return np.array([math.nan if case.score is None else case.score for case in cases])


def probabilities(cases: Sequence[Compared], share: float | None = None) -> Floats:
    """The probabilities of the cases with a likelihood: as stated, or for a prevalence of `share` (0..1 exclusive).

    The odds change with the prior, as in models/birads/calibration.py.
    """
    stated = [(case.likelihood.probability, case.prior) for case in cases if case.likelihood is not None]
    if share is None:
        return np.array([probability for probability, _ in stated])
    log_odds = (logit(probability) + logit(share) - logit(prior or share) for probability, prior in stated)
    return np.array([1 / (1 + math.exp(-value)) for value in log_odds])
