"""Whether images are held out, as far as the bundle states it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.bundles.bundle import ROLES
from models.datasets.case import Case
from models.evaluation.held_out import NOT_HELD_OUT, made_of_own_outlines, not_asked_for, seen_in_training
from models.evaluation.observations import EvaluationError
from models.types.mammogram import Mammogram


def case(name: str, patient: str, dataset: str = "made-up") -> Case:
    return Case(
        name=name,
        dataset=dataset,
        patients=(patient,),
        exam=None,
        laterality=None,
        view=None,
        pathology=None,
        birads=None,
        density=None,
        marked_up=True,
        label_is_fair=True,
        official=None,
        read=lambda: Mammogram(np.zeros((4, 4), dtype=np.float32)),
        read_lesions=lambda _: (),
    )


CASES = [case("1", "a"), case("2", "a"), case("3", "b"), case("4", "c")]


def trained(bundle: Path, *roles: str, train: tuple[str, ...] = ("1",)) -> Path:
    for role in roles:
        folder = bundle / "training" / role
        folder.mkdir(parents=True)
        (folder / "split.json").write_text(json.dumps({"train": train, "validation": ["4"], "test": []}))
    return bundle


def test_images_without_a_split_are_not_called_held_out(tmp_path: Path) -> None:
    (warning,) = seen_in_training(tmp_path, CASES, CASES, tested=False)
    assert warning.startswith(NOT_HELD_OUT)
    assert seen_in_training(tmp_path, CASES, CASES, tested=True) == []


def test_a_base_bundle_without_its_training_set_may_have_been_trained_on_the_patients(tmp_path: Path) -> None:
    (warning,) = seen_in_training(tmp_path, CASES, CASES, tested=False, is_base=True)
    assert warning.startswith(NOT_HELD_OUT)
    assert "--base" in warning
    assert "--split" not in warning  # ablate has no such option


def test_other_images_of_a_trained_patient_are_not_held_out_even_on_a_test_side(tmp_path: Path) -> None:
    (warning,) = seen_in_training(trained(tmp_path, "detector"), CASES, CASES[1:3], tested=True)
    assert "1 of 2 images" in warning
    assert "the detector was trained on" in warning


def test_images_that_no_part_was_trained_on_are_held_out(tmp_path: Path) -> None:
    assert seen_in_training(trained(tmp_path, *ROLES), CASES, CASES[2:3], tested=False) == []


def test_a_damaged_split_beside_the_bundle_is_named(tmp_path: Path) -> None:
    (trained(tmp_path, "detector") / "training/detector/split.json").write_text("[]")
    with pytest.raises(EvaluationError, match=r"split\.json is not a split"):
        seen_in_training(tmp_path, CASES, CASES, tested=True)


def test_the_truth_of_an_archive_is_reported_as_derived_from_outlines_of_the_node() -> None:
    (warning,) = made_of_own_outlines([*CASES, case("5", "d", "archive")])
    assert "1 of 5 images" in warning
    assert made_of_own_outlines(CASES) == []


def test_images_on_other_sides_are_counted() -> None:
    assert not_asked_for(10, 4, 1, "on the test side of split.json") == (
        "5 images that are not on the test side of split.json.",
        "1 images that may be of a patient of two sides.",
    )
    assert not_asked_for(4, 4, 0, "on a test side") == ()
