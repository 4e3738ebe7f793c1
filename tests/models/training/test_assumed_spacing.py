"""If a header gives no spacing, scores are calibrated with the spacing that the bundle assumes in reading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from drawn_cases import drawn_cases

from models.bundles.bundle import find_bundle, read_bundle
from models.bundles.writing import DEFAULT_BASE
from models.datasets.case import Case, Cases
from models.measures.detection import Figure
from models.training.calibration import fitting as calibrating
from models.training.classifier.recipe import Model, TaskSettings
from models.training.recipe import CalibrationRecipe, FitRecipe, Recipe, SplitRecipe
from models.training.runs import train
from models.types.mammogram import Mammogram

pytestmark = pytest.mark.slow


def without_spacing(case: Case) -> Case:
    def read() -> Mammogram:
        return replace(case.read(), spacing_mm=None)

    return replace(case, read=read)


def recipe() -> Recipe:
    model = {"kind": "efficientnet", "backbone": "test_efficientnet", "image_px": 64, "frame_px": 64}
    return Recipe(
        name="small",
        kind="classifier",
        split=SplitRecipe(test=0.3, validation=0.4),
        fit=FitRecipe(epochs=1, learning_rate=1e-2, optimizer="adam"),
        model=Model.model_validate({**model, "mode": "whole+radiomics"}),
        task=TaskSettings.model_validate({"batch": 4}),
        calibration=CalibrationRecipe(method="isotonic", least=2),
    )


def test_scores_are_calibrated_by_the_spacing_that_the_bundle_assumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A calibration from so few cases is not valid: the numbers are set as if there were enough.
    monkeypatch.setattr(calibrating, "_area", lambda cases: Figure(value=1.0, low=1.0, high=1.0))
    torch.set_num_threads(1)
    cases = Cases(tuple(without_spacing(case) for case in drawn_cases(12)), ())
    base = read_bundle(find_bundle(DEFAULT_BASE))
    made = []
    for name, spacing in (("fine", 0.1), ("coarse", 2.0)):
        begun = replace(base, assumed_spacing_mm=spacing)
        ran = train(
            recipe(), cases, tmp_path / name, None, torch.device("cpu"), lambda *_: None, base=begun, measured=False
        )
        made.append(ran.bundle)
    fine, coarse = made
    assert fine.classifier.sha256 == coarse.classifier.sha256
    assert fine.calibration
    assert fine.calibration != coarse.calibration
