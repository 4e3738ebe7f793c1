"""Converts a score to a probability of malignancy: at the level of its calibration, for a given prevalence.

A calibration is fitted on patients who were not used to train the weights (`models/training/`), and states the share of
malignant ones among its cases. For another prevalence, the odds change with the prior (Bayes; Elkan, "The foundations
of cost-sensitive learning", IJCAI 2001, theorem 2). No torch here.
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
"""Scores closer to 0 or 1 than this count as this close, so that their logit is finite."""


class Level(StrEnum):
    """The level of a score."""

    LESION = "lesion"
    IMAGE = "image"
    BREAST = "breast"
    EXAM = "exam"


class Method(StrEnum):
    """The method that converts a score to a probability."""

    TEMPERATURE = "temperature"
    PLATT = "platt"
    ISOTONIC = "isotonic"


PARAMETERS: Mapping[Method, tuple[str, ...]] = {
    Method.TEMPERATURE: ("slope",),
    Method.PLATT: ("slope", "offset"),
    Method.ISOTONIC: ("scores", "probabilities"),
}
"""The parameters of each method: on the logit of the score a slope (1 / temperature; Guo et al., ICML 2017) and an
offset (Platt 1999), or the points of a non-decreasing piecewise linear function (Zadrozny and Elkan 2002). With a slope
only, the probability at a score of 0.5 is the prevalence."""


@dataclass(frozen=True)
class Calibration:
    """The conversion of scores at one level to probabilities.

    Attributes:
        parameters: see `PARAMETERS`; a slope (0 or more) and an offset are one number each; points are within 0..1 and
            do not fall.
        prevalence: the share of malignant ones among the cases it was fitted on, 0..1 exclusive.
        cases: the number of those cases.
        patients: the number of their patients.
        prior: the share of malignant ones where it is applied, 0..1 exclusive; None: the same as among its cases.
        normals: the share of normal cases among those that are not malignant, by the weights it was fitted with
            (`models.measures.scores.weights`), 0..1 exclusive; None: every case counts the same.
        composed: whether the breasts or exams it was fitted on were put together from single images of different
            patients.

    Raises:
        ValueError: its parameters are not those of the method or out of range, a share is not between 0 and 1, or there
            are no cases.
    """

    level: Level
    method: Method
    parameters: Mapping[str, tuple[float, ...]]
    prevalence: float
    cases: int
    patients: int
    prior: float | None = None
    normals: float | None = None
    composed: bool = False

    def __post_init__(self) -> None:
        if set(self.parameters) != set(PARAMETERS[self.method]):
            raise ValueError(f"{self.method} has the parameters {', '.join(PARAMETERS[self.method])}")
        lengths = {len(values) for values in self.parameters.values()}
        if len(lengths) != 1 or 0 in lengths or (self.method is not Method.ISOTONIC and lengths != {1}):
            raise ValueError(f"the parameters of {self.method} have different lengths")
        for name, values in self.parameters.items():
            if not all(map(math.isfinite, values)):
                raise ValueError(f"the parameters of {self.method} are not all numbers ({name})")
        if any(slope < 0 for slope in self.parameters.get("slope", ())):
            raise ValueError("the parameters reverse the order of the scores: slope is below 0")
        if self.method is Method.ISOTONIC and not all(map(_rises_within_0_1, self.parameters.values())):
            raise ValueError("the parameters of isotonic are not within 0..1, or they fall")
        if self.cases < 1 or self.patients < 1:
            raise ValueError("the number of cases or patients is below 1")
        if not all(0 < share < 1 for share in (self.prevalence, self.prior) if share is not None):
            raise ValueError("a prevalence must be between 0 and 1")
        if self.normals is not None and not 0 < self.normals < 1:
            raise ValueError("normals, a share, must be between 0 and 1")
        if not isinstance(self.composed, bool):
            raise ValueError("composed must be true or false")

    def probability(self, score: float) -> float:
        """The probability of malignancy of a score (0..1), 0..1 exclusive; it does not fall with a rising score."""
        if self.method is Method.ISOTONIC:
            least = 1 / (self.cases + 2)  # a limited number of cases does not prove a probability of 0 or 1
            found = float(np.interp(score, self.parameters["scores"], self.parameters["probabilities"]))
            log_odds = logit(min(1 - least, max(least, found)))
        else:
            (offset,) = self.parameters.get("offset", (logit(self.prevalence),))
            log_odds = self.parameters["slope"][0] * logit(score) + offset
        if self.prior is not None:
            log_odds += logit(self.prior) - logit(self.prevalence)
        return 1 / (1 + math.exp(-min(500.0, max(-500.0, log_odds))))

    def likelihood(self, score: float) -> Likelihood:
        """The probability of a score (0..1), and the BI-RADS category that it implies."""
        probability = self.probability(score)
        in_screening = prior_of(self.level, SCREENING_PREVALENCE)
        return Likelihood(probability, implied_category(probability, essentially_nil=in_screening))

    def at_prevalence(self, prior: float) -> Calibration:
        """The same calibration for a prevalence of `prior` (0..1 exclusive): the ranks do not change."""
        return replace(self, prior=prior)


def logit(share: float) -> float:
    """The logarithm of the odds of a share, 0..1."""
    held = min(1 - _LEAST, max(_LEAST, share))
    return math.log(held / (1 - held))


def _rises_within_0_1(values: Sequence[float]) -> bool:
    return values[0] >= 0 and values[-1] <= 1 and all(low <= high for low, high in pairwise(values))


def prior_of(level: Level, exams: float) -> float:
    """The prior at a level if `exams` (a share, 0..1) of the exams have a cancer.

    A cancer is nearly always in only one breast: a breast and an image get half of that. A finding gets the image's
    prior too, which is right if about one finding per image is reported.
    """
    return exams if level is Level.EXAM else exams / 2
