"""No patient is ever trained on and measured on."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from models.datasets.cdd_cesm import read_dataset
from models.training.held_out import hold_out
from models.training.recipe import SplitRecipe
from models.training.split import Case, SplitError, check_disjoint, split_by_patient


def _cases() -> list[Case]:
    draw = np.random.default_rng(3)
    cases = [Case(f"known-{n}", (n, n), "malignant" if n % 3 else "rest") for n in range(1, 120)]
    for number, low in enumerate(draw.integers(1, 110, 30).tolist()):
        cases.append(Case(f"range-{number}", (low, low + int(draw.integers(1, 9))), "rest"))
    return cases


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_two_sides_can_share_a_patient_even_one_known_by_a_range(seed: int) -> None:
    cases = _cases()
    split = split_by_patient(cases, test=0.3, validation=0.15, seed=seed)
    patients = {case.name: set(range(case.patients[0], case.patients[1] + 1)) for case in cases}
    sides = [set().union(*(patients[name] for name in side)) for side in (split.train, split.validation, split.test)]
    assert all(not one & other for one, other in combinations(sides, 2))
    assert len(split.train + split.validation + split.test + split.left_out) == len(cases)


def test_each_side_has_its_share_of_each_stratum() -> None:
    cases = _cases()
    split = split_by_patient(cases, test=0.3, validation=0.15, seed=1)
    strata = {case.name: case.stratum for case in cases}
    for stratum in ("malignant", "rest"):
        total = sum(value == stratum for value in strata.values())
        assert sum(strata[name] == stratum for name in split.test) / total == pytest.approx(0.3, abs=0.12)


def test_the_same_seed_gives_the_same_split() -> None:
    assert split_by_patient(_cases(), 0.3, 0.15, seed=5) == split_by_patient(_cases(), 0.3, 0.15, seed=5)


def test_a_patient_on_two_sides_is_refused_and_named() -> None:
    cases = _cases()
    split = split_by_patient(cases, 0.3, 0.15, seed=1)
    leaky = replace(split, train=(*split.train, split.test[0]))
    with pytest.raises(SplitError, match=rf"{split.test[0]} \(train\) and .* \(test\) may show the same patient"):
        check_disjoint(leaky, cases)


@pytest.mark.parametrize("cases", [[], [Case("one", (1, 1), "x"), Case("two", (2, 2), "x")]])
def test_a_set_too_small_to_split_is_refused(cases: list[Case]) -> None:
    with pytest.raises(SplitError, match=r"nothing to split|cannot be split three ways"):
        split_by_patient(cases, 0.3, 0.15, seed=1)


def test_the_split_is_written_down(cesm_template: Path, tmp_path: Path) -> None:
    sides = hold_out(read_dataset(cesm_template), SplitRecipe(test=0.3, validation=0.2, seed=1), tmp_path)
    written = (tmp_path / "split.json").read_text()
    assert all(f'"{record.name}"' in written for record in sides.test)
