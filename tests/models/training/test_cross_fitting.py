"""Cross-fitting calibrates with every patient outside the test set, each scored by weights trained without it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_cases import drawn_cases

from models.birads.calibration import Calibration, Level, Method
from models.birads.caveat import line_of, wrong_levels
from models.bundles.bundle import find_bundle, read_bundle
from models.bundles.writing import DEFAULT_BASE
from models.datasets.case import Cases
from models.datasets.split import read_split, sides
from models.evaluation.reported_scores import ReportedScore
from models.pipeline import Pipeline
from models.protocols import ToOutline, ToScore
from models.training.calibration.cross_fitting import out_of_fold
from models.training.calibration.fitting import calibrate, calibrate_composed
from models.training.classifier.recipe import Model, TaskSettings
from models.training.held_out_figures import calibration_lines
from models.training.recipe import CalibrationRecipe, FitRecipe, Recipe, SplitRecipe
from models.training.runs import only_right, train
from models.types.mammogram import Mammogram
from models.types.reading import BundleId, Detection
from models.types.region import Mask

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
RECIPE = Recipe(
    name="small",
    kind="classifier",
    split=SplitRecipe(test=0.25, validation=0.25),
    fit=FitRecipe(epochs=6, learning_rate=1e-2, optimizer="adam"),
    model=Model.model_validate(
        {"kind": "efficientnet", "backbone": "test_efficientnet", "image_px": 64, "frame_px": 64, "mode": "whole"}
    ),
    task=TaskSettings.model_validate({"batch": 4}),
    calibration=CalibrationRecipe(method="isotonic", least=2, folds=3, composed=True),
)


class FindsNothing:
    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        return [()] * len(images)


class Unasked:
    """Parts that are asked for nothing if nothing is found."""

    scores_images_alone = True

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        assert not any(asked.lesions for asked in images)
        return [[] for _ in images]

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        raise AssertionError


READS = Pipeline(FindsNothing(), Unasked(), Unasked(), BundleId("test", "1"), 0.1, lambda: 0.0)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _no_step(done: int, total: int, text: str) -> None:
    """For a training whose own weights are finished: only those of its folds are trained."""
    assert "fold" in text, text


def test_every_patient_is_scored_once_by_weights_trained_without_it(tmp_path: Path) -> None:
    cases = drawn_cases(12)
    scored = out_of_fold(RECIPE, cases, READS, None, tmp_path, CPU, lambda *_: None, "")
    assert sorted(score.patient for score in scored if score.level is Level.IMAGE) == sorted(
        case.patient for case in cases
    )
    other = replace(RECIPE, fit=RECIPE.fit.model_copy(update={"seed": 2}))
    others = out_of_fold(other, cases, READS, None, tmp_path / "other", CPU, lambda *_: None, "")
    assert [score.patient for score in others] == [score.patient for score in scored]
    assert others != scored


def test_probabilities_that_are_wrong_on_held_out_patients_are_withheld_with_a_reason() -> None:
    fitted = Calibration(Level.IMAGE, Method.TEMPERATURE, {"slope": (1.0,)}, 0.5, 40, 40)
    both = {Level.IMAGE: fitted, Level.LESION: replace(fitted, level=Level.LESION)}
    ideal = {"calibration_intercept": [0.1, -0.5, 0.6], "calibration_slope": [0.9, 0.6, 1.3]}
    right = ideal | {f"lesion_{name}": figure for name, figure in ideal.items()}
    assert only_right(both, right) == (both, [])
    held, notes = only_right(both, right | {"calibration_slope": [0.4, 0.1, 0.8]})
    assert held == {Level.LESION: both[Level.LESION]}
    assert notes == [
        "Scores of the level image are not calibrated: on held-out patients the probabilities were too extreme, so the "
        "bundle has none at this level."
    ]


def test_the_line_of_held_out_probabilities_is_that_of_what_was_fitted() -> None:
    """Fitted and measured on the same scores it is the ideal one, at each level, composed or not; elsewhere not."""
    draw = np.random.default_rng(2)
    scored = [
        ReportedScore(
            level, float(1 / (1 + np.exp(-draw.normal(1.2 * label - 0.4)))), bool(label), f"{number}", not label
        )
        for level in (Level.IMAGE, Level.LESION)
        for number, label in enumerate([1, 0] * 60)
    ]
    settings = CalibrationRecipe(composed=True)
    fitted, _ = calibrate(scored, settings)
    fitted |= calibrate_composed(scored, Method.PLATT)
    figures = calibration_lines(fitted, scored)
    assert set(figures) == {name for level in Level for name in line_of(level)}
    assert wrong_levels(Level, figures) == {}
    for level in Level:
        intercept, slope = (figures[name][0] for name in line_of(level))
        assert (intercept, slope) == pytest.approx((0, 1), abs=0.25)
    others = [replace(case, score=case.score**6) for case in scored]
    assert Level.IMAGE in wrong_levels(fitted, calibration_lines(fitted, others))
    few = [case for case in scored if int(case.patient) < 4]
    assert set(wrong_levels(fitted, calibration_lines(fitted, few))) == set(fitted)


def test_test_patients_are_not_used_for_calibration_and_cross_fitting_does_not_change_the_weights(
    tmp_path: Path,
) -> None:
    cases = Cases(tuple(drawn_cases(16)), ())
    shipped = read_bundle(find_bundle(DEFAULT_BASE))
    shy = replace(shipped.detector, settings={**shipped.detector.settings, "confidence": 0.999})
    base = replace(shipped, detector=shy)  # findings would be outlined, which takes long
    plain = replace(RECIPE, calibration=CalibrationRecipe(method="none"))
    crossed, simple = (
        train(recipe, cases, tmp_path / name, None, CPU, lambda *_: None, base=base, measured=False)
        for name, recipe in (("crossed", RECIPE), ("simple", plain))
    )
    assert crossed.bundle.classifier.sha256 == simple.bundle.classifier.sha256
    assert simple.bundle.calibration == {}
    again = train(RECIPE, cases, tmp_path / "simple", None, CPU, _no_step, base=base, measured=False)
    assert again.notes == crossed.notes, "calibrated after all, with the weights that were there"
    assert again.bundle.classifier.sha256 == simple.bundle.classifier.sha256
    split = read_split(tmp_path / "crossed/training/classifier/split.json", cases.cases)
    learnt, validation, test = sides(cases.cases, split)
    assert test
    (note,) = crossed.notes  # so short a training gives uninformative scores, as those of these patients show
    counted = re.search(r"the (\d+) malignant cases .* the (\d+) others", note)
    assert counted
    assert sum(map(int, counted.groups())) == len(learnt) + len(validation)
