"""From a score to a probability of malignancy: at the level it was measured at, for the prevalence it is read at.

A score of 0.7 means nothing until it is known how often such a score was right, and among whom. A calibration is fitted
on patients whom the weights have not learned from (`models/training/`) and says how many of its cases were malignant:
where fewer or more are, the odds shift with the prior (Bayes; Elkan, "The foundations of cost-sensitive
learning", IJCAI 2001, theorem 2). No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np

from models.birads.categories import implied_category
from models.types.birads import Likelihood

SCREENING_PREVALENCE = 0.006
"""Cancers among screening exams: 5.1 detected and 0.8 missed of 1,000 (Lehman et al., Radiology 2017, 283:49-58, the
Breast Cancer Surveillance Consortium's benchmarks)."""

_LEAST = 1e-6
"""Scores this near 0 and 1 count as this near: their logit is finite."""


class Level(StrEnum):
    """What a score is about."""

    LESION = "lesion"
    IMAGE = "image"
    BREAST = "breast"
    EXAM = "exam"


class Method(StrEnum):
    """How a score becomes a probability."""

    TEMPERATURE = "temperature"
    PLATT = "platt"
    ISOTONIC = "isotonic"


PARAMETERS: Mapping[Method, tuple[str, ...]] = {
    Method.TEMPERATURE: ("slope",),
    Method.PLATT: ("slope", "offset"),
    Method.ISOTONIC: ("scores", "probabilities"),
}
"""What each method is made of: of the logit of the score a slope (one over the temperature; Guo et al., ICML 2017) and
an offset (Platt 1999), or the corners of a rising line (Zadrozny and Elkan 2002). Where the slope is all, a score of
0.5 tells nothing: the probability there is the prevalence."""


@dataclass(frozen=True)
class Calibration:
    """What a score at one level is worth.

    Attributes:
        parameters: see `PARAMETERS`; a slope (0 or more) and an offset are one number each, corners lie within 0..1 and
            never fall.
        prevalence: the share of malignant ones among the cases it was fitted on, 0..1 exclusive.
        cases: how many those were.
        patients: of how many patients.
        prior: the share among those it is read for; None: as among its cases.

    Raises:
        ValueError: its parameters are not the method's or out of their range, a share is not between 0 and 1, or there
            are no cases.
    """

    level: Level
    method: Method
    parameters: Mapping[str, tuple[float, ...]]
    prevalence: float
    cases: int
    patients: int
    prior: float | None = None

    def __post_init__(self) -> None:
        if set(self.parameters) != set(PARAMETERS[self.method]):
            raise ValueError(f"{self.method} has the parameters {', '.join(PARAMETERS[self.method])}")
        lengths = {len(values) for values in self.parameters.values()}
        if len(lengths) != 1 or 0 in lengths or (self.method is not Method.ISOTONIC and lengths != {1}):
            raise ValueError(f"the parameters of {self.method} are not of one length")
        for name, values in self.parameters.items():
            if not all(map(math.isfinite, values)):
                raise ValueError(f"the parameters of {self.method} are not all numbers ({name})")
        if any(slope < 0 for slope in self.parameters.get("slope", ())):
            raise ValueError("the parameters turn the scores' order round: slope is below 0")
        if self.method is Method.ISOTONIC and not all(map(_rises_within_0_1, self.parameters.values())):
            raise ValueError("the parameters of isotonic are no rising line within 0..1")
        if self.cases < 1 or self.patients < 1:
            raise ValueError("parameters without cases and patients prove nothing")
        if not all(0 < share < 1 for share in (self.prevalence, *([] if self.prior is None else [self.prior]))):
            raise ValueError("a prevalence lies between 0 and 1")

    def probability(self, score: float) -> float:
        """The probability of malignancy of a score (0..1), 0..1 exclusive; never falls where the score rises."""
        if self.method is Method.ISOTONIC:
            corner = 1 / (self.cases + 2)  # so few cases prove neither 0 nor 1
            found = float(np.interp(score, self.parameters["scores"], self.parameters["probabilities"]))
            odds = logit(min(1 - corner, max(corner, found)))
        else:
            (offset,) = self.parameters.get("offset", (logit(self.prevalence),))
            odds = self.parameters["slope"][0] * logit(score) + offset
        if self.prior is not None:
            odds += logit(self.prior) - logit(self.prevalence)
        return 1 / (1 + math.exp(-min(500.0, max(-500.0, odds))))

    def likelihood(self, score: float) -> Likelihood:
        """The probability of a score (0..1), and the BI-RADS category that it implies."""
        probability = self.probability(score)
        in_screening = prior_of(self.level, SCREENING_PREVALENCE)
        return Likelihood(probability, implied_category(probability, essentially_nil=in_screening))

    def at_prevalence(self, prior: float) -> Calibration:
        """The same where the share of malignant ones is `prior` (0..1 exclusive): ranks stay, probabilities move."""
        return replace(self, prior=prior)


def logit(share: float) -> float:
    """The logarithm of the odds of a share, 0..1."""
    held = min(1 - _LEAST, max(_LEAST, share))
    return math.log(held / (1 - held))


def _rises_within_0_1(values: Sequence[float]) -> bool:
    return values[0] >= 0 and values[-1] <= 1 and all(low <= high for low, high in pairwise(values))


def prior_of(level: Level, exams: float) -> float:
    """The prior at a level where `exams` (a share, 0..1) of the exams have a cancer.

    A cancer is nearly always in one breast alone: half of that for a breast and an image. A finding gets the image's
    prior too, which holds where about one finding an image is reported.
    """
    return exams if level is Level.EXAM else exams / 2
