"""No patient is in both the training and the test images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from models.datasets.case import Case, Pathology, Side
from models.datasets.split import (
    Split,
    SplitError,
    check_disjoint,
    folds,
    official,
    paper,
    read_split,
    sides,
    split_by_patient,
)
from models.types.mammogram import Mammogram


def case(
    name: str,
    patients: Sequence[object],
    pathology: Pathology = Pathology.BENIGN,
    side: Side | None = None,
    dataset: str = "a",
) -> Case:
    return Case(
        name=name,
        dataset=dataset,
        patients=tuple(f"{dataset}/{patient}" for patient in patients),
        exam=None,
        laterality=None,
        view=None,
        pathology=pathology,
        birads=None,
        density=None,
        marked_up=True,
        label_is_fair=True,
        official=side,
        read=lambda: Mammogram(np.zeros((1, 1), dtype=np.float32)),
        read_lesions=lambda _: (),
    )


def known(patients: int = 60, dataset: str = "a") -> list[Case]:
    """Two images per patient; every third patient is malignant; the first third are the publishers' test patients."""
    return [
        case(
            f"{dataset}-{patient}-{view}",
            [patient],
            Pathology.BENIGN if patient % 3 else Pathology.MALIGNANT,
            Side.TEST if patient <= patients // 3 else Side.TRAIN,
            dataset,
        )
        for patient in range(1, patients + 1)
        for view in ("CC", "MLO")
    ]


def ranged() -> list[Case]:
    draw = np.random.default_rng(3)
    cases = [case(f"known-{n}", [n], Pathology.MALIGNANT if n % 3 else Pathology.NORMAL) for n in range(1, 120)]
    for number, low in enumerate(draw.integers(1, 110, 30).tolist()):
        cases.append(case(f"range-{number}", range(low, low + int(draw.integers(1, 9)) + 1), Pathology.NORMAL))
    return cases


def patients_of(cases: Sequence[Case], split: Split) -> list[set[str]]:
    return [{patient for image in side for patient in image.patients} for side in sides(cases, split)]


@pytest.mark.parametrize("cases", [known(), ranged(), [*known(), *known(30, "b")]], ids=["known", "ranged", "two sets"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_two_sides_share_a_patient_even_if_only_a_range_of_patients_is_known(cases: list[Case], seed: int) -> None:
    split = split_by_patient(cases, test=0.3, validation=0.15, seed=seed)
    assert all(not first & second for first, second in combinations(patients_of(cases, split), 2))
    assert sorted(split.train + split.validation + split.test + split.left_out) == sorted(image.name for image in cases)


@pytest.mark.parametrize(("cases", "tolerance"), [(known(), 0.04), (ranged(), 0.12)], ids=["known", "ranged"])
def test_each_side_has_its_share_of_each_pathology(cases: list[Case], tolerance: float) -> None:
    split = split_by_patient(cases, test=0.3, validation=0.15, seed=1)
    strata = {image.name: image.pathology for image in cases}
    for stratum, total in Counter(strata.values()).items():
        assert sum(strata[name] is stratum for name in split.test) / total == pytest.approx(0.3, abs=tolerance)


def test_each_data_set_is_split_separately() -> None:
    cases = [*known(60), *known(30, "b")]
    split = split_by_patient(cases, 0.2, 0.2, seed=1)
    assert sum(name.startswith("b-") for name in split.test) == 12


def test_no_image_is_left_out_if_all_patients_are_known() -> None:
    assert split_by_patient(known(), 0.3, 0.15, seed=1).left_out == ()


@pytest.mark.parametrize("cases", [known(), ranged()], ids=["known", "ranged"])
def test_the_same_seed_gives_the_same_split_and_another_seed_another(cases: list[Case]) -> None:
    assert split_by_patient(cases, 0.3, 0.15, seed=5) == split_by_patient(cases, 0.3, 0.15, seed=5)
    assert split_by_patient(cases, 0.3, 0.15, seed=5).test != split_by_patient(cases, 0.3, 0.15, seed=6).test


def test_patients_are_held_out_in_their_natural_order() -> None:
    """The shipped bundle's results depend on it: intervals contain 9, 10, 11 and not 10, 100, 11."""
    split = split_by_patient(ranged(), 0.3, 0.15, seed=1)
    numbers = sorted(int(name.removeprefix("known-")) for name in split.test if name.startswith("known-"))
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


def test_the_split_of_the_paper_is_a_fifth_for_testing_and_a_fifth_of_the_rest_for_validation() -> None:
    split = paper(known(100), seed=1)
    assert (len(split.test), len(split.validation), len(split.train)) == (40, 32, 128)
    assert split.scheme == "paper"


def test_the_publishers_test_images_are_the_test_images() -> None:
    cases = known()
    split = official(cases, validation=0.25, seed=1)
    assert set(split.test) == {image.name for image in cases if image.official is Side.TEST}
    assert len(split.validation) == 20
    assert all(not first & second for first, second in combinations(patients_of(cases, split), 2))


def test_a_patient_on_both_of_the_publishers_sides_is_tested_and_never_trained_on() -> None:
    cases = [*known(), case("calc", [1], side=Side.TRAIN)]
    split = official(cases, validation=0.25, seed=1)
    assert split.left_out == ("calc",)


def test_the_publishers_validation_images_are_kept() -> None:
    cases = [*known(), case("theirs", [70], side=Side.VALIDATION)]
    assert official(cases, validation=0.25, seed=1).validation == ("theirs",)


def test_an_official_split_of_a_set_without_one_is_refused() -> None:
    with pytest.raises(SplitError, match="a has no official split"):
        official([*known(), case("one", [1])], 0.2, seed=1)


@pytest.mark.parametrize("k", [3, 5])
def test_every_image_is_a_test_image_in_exactly_one_fold_and_a_validation_image_in_another(k: int) -> None:
    cases = known()
    found = folds(cases, k, seed=1)
    for side in ("test", "validation"):
        assert sorted(name for split in found for name in getattr(split, side)) == sorted(image.name for image in cases)
    for split in found:
        assert all(not first & second for first, second in combinations(patients_of(cases, split), 2))
        assert len(split.test) == pytest.approx(len(cases) / k, abs=4)


def test_folds_with_ranges_share_no_patient_and_test_every_known_patient() -> None:
    cases = ranged()
    found = folds(cases, 4, seed=1)
    assert all(not first & second for split in found for first, second in combinations(patients_of(cases, split), 2))
    tested = [name for split in found for name in split.test]
    assert {image.name for image in cases if len(image.patients) == 1} <= set(tested)
    assert len(tested) == len(set(tested))


def test_two_folds_are_refused() -> None:
    with pytest.raises(SplitError, match="2 folds leave nothing to train on"):
        folds(known(), 2, seed=1)


def test_a_patient_on_two_sides_is_refused_and_named() -> None:
    cases = known()
    split = split_by_patient(cases, 0.3, 0.15, seed=1)
    leaky = replace(split, train=(*split.train, split.test[0]))
    with pytest.raises(SplitError, match=rf"{split.test[0]} \(train\) and {split.test[0]} \(test\) may show the same"):
        check_disjoint(leaky, cases)


@pytest.mark.parametrize("cases", [[], [case("one", [1]), case("two", [2])]], ids=["none", "two patients"])
def test_a_set_too_small_to_split_is_refused(cases: list[Case]) -> None:
    with pytest.raises(SplitError, match=r"nothing to split|cannot be split three ways"):
        split_by_patient(cases, 0.3, 0.15, seed=1)


def test_a_split_is_written_and_read_again(tmp_path: Path) -> None:
    split = split_by_patient(ranged(), 0.3, 0.15, seed=1)
    split.write(tmp_path / "split.json")
    assert read_split(tmp_path / "split.json", ranged()) == split


def test_writing_a_split_replaces_the_old_file_atomically(tmp_path: Path) -> None:
    path, old = tmp_path / "split.json", tmp_path / "old.json"
    first, second = (split_by_patient(known(), 0.2, 0.15, seed=seed) for seed in (1, 2))
    first.write(path)
    old.hardlink_to(path)
    second.write(path)
    assert read_split(path, known()) == second
    assert read_split(old, known()) == first


def test_a_split_file_with_a_patient_on_two_sides_is_refused(tmp_path: Path) -> None:
    split = split_by_patient(known(), 0.3, 0.15, seed=1)
    leaky = replace(split, validation=(*split.validation, split.test[0].replace("CC", "MLO")), test=split.test[:1])
    leaky.write(tmp_path / "split.json")
    with pytest.raises(SplitError, match=r"split\.json cannot be used: .* may show the same patient"):
        read_split(tmp_path / "split.json", known())


def test_a_split_file_of_other_data_is_refused(tmp_path: Path) -> None:
    split_by_patient(known(), 0.3, 0.15, seed=1).write(tmp_path / "split.json")
    with pytest.raises(SplitError, match=r"split\.json names .* which is not in the data"):
        read_split(tmp_path / "split.json", ranged())


@pytest.mark.parametrize(
    "content", ["{", "[]", json.dumps({"train": []}), json.dumps(dict.fromkeys(("scheme", "seed", "train"), 1))]
)
def test_a_file_that_is_not_a_split_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(SplitError, match=r"split\.json is not"):
        read_split(tmp_path / "split.json", known())
    with pytest.raises(SplitError, match="cannot be read"):
        read_split(tmp_path / "other.json", known())
