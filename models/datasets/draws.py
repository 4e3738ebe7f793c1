"""Seeded random splits, grouped by patient and stratified.

A split gives for each image, by name, the parts that its patient may be in: one part where the patient is known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from models.datasets.case import Case
from models.datasets.intervals import fold_intervals, hold_out_intervals

Parts = dict[str, frozenset[int]]


def draw_sides(cases: Sequence[Case], test: float, validation: float, seed: int) -> Parts:
    """Parts 0 (test), 1 (validation) and 2 (training); each data set is split separately."""
    return _by_set(
        cases,
        lambda known: deal(known, (test, validation, 1 - test - validation), seed),
        lambda ranged: hold_out_intervals(ranged, test, validation, seed),
    )


def draw_folds(cases: Sequence[Case], k: int, seed: int) -> Parts:
    """Parts 0 to k - 1 of about the same size; each data set is split separately."""
    return _by_set(cases, lambda known: deal(known, (1 / k,) * k, seed), lambda ranged: fold_intervals(ranged, k, seed))


def deal(cases: Sequence[Case], shares: Sequence[float], seed: int) -> Parts:
    """Assigns patients to parts, rarest strata first, each to the part that lacks most images of the patient's stratum.

    The order within a stratum is random (iterative stratification, Sechidis et al. 2011, for groups).

    Args:
        cases: images of known patients.
        shares: the share of each stratum that each part is to get; their sum is 1.
        seed: of the random order.
    """
    patients = defaultdict(list)
    for case in cases:
        patients[case.patients[0]].append(case)
    totals = Counter(_stratum(case) for case in cases)
    rarest = {
        patient: min((totals[stratum], stratum) for stratum in map(_stratum, images))
        for patient, images in patients.items()
    }
    shuffled = np.random.default_rng(seed).permutation(sorted(patients)).tolist()
    lacking = [{stratum: share * total for stratum, total in totals.items()} for share in shares]
    parts: Parts = {}
    for patient in sorted(shuffled, key=lambda name: (rarest[name], -len(patients[name]))):
        stratum = rarest[patient][1]
        part = max(range(len(shares)), key=lambda side: (lacking[side][stratum], sum(lacking[side].values())))
        for case in patients[patient]:
            lacking[part][_stratum(case)] -= 1
            parts[case.name] = frozenset({part})
    return parts


def _by_set(
    cases: Sequence[Case],
    of_known: Callable[[Sequence[Case]], Parts],
    of_ranges: Callable[[Sequence[Case]], Parts],
) -> Parts:
    sets = defaultdict(list)
    for case in cases:
        sets[case.dataset].append(case)
    parts: Parts = {}
    for images in sets.values():
        all_known = all(len(case.patients) == 1 for case in images)
        parts |= of_known(images) if all_known else of_ranges(images)
    return parts


def _stratum(case: Case) -> str:
    return f"{case.pathology} {case.label_is_fair} {' '.join(sorted({kind.basic for kind in case.kinds}))}"
