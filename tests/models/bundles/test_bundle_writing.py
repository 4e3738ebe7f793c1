"""Writing a part changes the bundle's version, keeps the other parts, and always leaves a complete bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.birads.calibration import Calibration, Level, Method
from models.bundles import writing as bundle_writing
from models.bundles.bundle import Bundle, BundleError, read_bundle, verify
from models.bundles.writing import NewPart, put_part

PLATT = Calibration(Level.LESION, Method.PLATT, {"slope": (0.8,), "offset": (-0.5,)}, 0.4, 120, 60)


@pytest.fixture
def base(tmp_path: Path) -> Bundle:
    folder = tmp_path / "base"
    folder.mkdir()
    lines = ['name = "base"', 'version = "1.2.0"', 'licence = "CC0-1.0"', 'intended_use = "Research."']
    lines += ['training_data = "Nothing."', "assumed_spacing_mm = 0.1"]
    for role in ("detector", "segmenter", "classifier"):
        save_file({role: torch.ones(2)}, folder / f"{role}.safetensors")
        lines += [f"[{role}]", 'architecture = "old"', f'weights = "{role}.safetensors"', 'sha256 = "0"']
    (folder / "bundle.toml").write_text("\n".join([*lines, "[figures.detector]", "froc = 0.5"]))
    return read_bundle(folder)


def part(**changes: Any) -> NewPart:
    weights = {"kernel": torch.full((2, 2), 0.1), "bias": torch.full((2,), 0.1), "count": torch.tensor(3)}
    chosen = {
        "role": "classifier",
        "weights": weights,
        "architecture": "new",
        "settings": {"image_px": 64, "mode": None, "layers": (2, 4)},
        "licence": "AGPL-3.0-or-later",
        "training_data": "Phantoms.",
        "figures": {"auc": 0.75},
        "calibration": {Level.LESION: PLATT},
    }
    return NewPart(**{**chosen, **changes})


def test_the_other_parts_are_taken_from_the_base_bundle(base: Bundle, tmp_path: Path) -> None:
    made = put_part(tmp_path / "mine", part(), base)
    assert made.id.name == "mine"
    assert made.id.version.startswith("1.2.0+")
    assert (made.classifier.architecture, made.detector.architecture) == ("new", "old")
    assert made.classifier.settings == {"image_px": 64, "layers": [2, 4]}
    assert load_file(made.detector.weights).keys() == {"detector"}
    assert made.detector.weights.parent == tmp_path / "mine"
    assert made.figures == {"detector": {"froc": 0.5}, "classifier": {"auc": 0.75}}
    assert made.calibration == {Level.LESION: PLATT}
    assert made.classifier.training_data == "Phantoms."
    assert made.detector.training_data == "Nothing."
    assert "classifier: Phantoms." in made.training_data
    assert [problem for problem in verify(made) if "classifier" in problem] == []


def test_kernels_are_stored_in_half_precision_unless_their_values_do_not_fit(base: Bundle, tmp_path: Path) -> None:
    weights = {**part().weights, "wide": torch.full((2, 2), 1e6)}
    stored = load_file(put_part(tmp_path / "mine", part(weights=weights), base).classifier.weights)
    assert stored["kernel"].dtype == torch.float16
    assert stored["bias"].dtype == stored["wide"].dtype == torch.float32
    assert stored["count"].dtype == torch.int64
    whole = load_file(put_part(tmp_path / "whole", part(half=False), base).classifier.weights)
    assert torch.equal(whole["kernel"], part().weights["kernel"])


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": {"kernel": torch.zeros(2, 2)}},
        {"settings": {"image_px": 96}},
        {"calibration": {}},
        {"architecture": "newer"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_version_changes_with_everything_that_changes_a_reading(
    base: Bundle, tmp_path: Path, changes: dict[str, Any]
) -> None:
    first = put_part(tmp_path / "mine", part(), base).id
    other = put_part(tmp_path / "mine", part(**changes)).id
    again = put_part(tmp_path / "mine", part()).id
    assert first == again != other
    assert other.version.partition("+")[0] == "1.2.0"


def test_a_second_part_is_added_to_the_first(base: Bundle, tmp_path: Path) -> None:
    put_part(tmp_path / "mine", part(), base)
    made = put_part(tmp_path / "mine", part(role="detector", calibration={}))
    assert (made.detector.architecture, made.classifier.architecture) == ("new", "new")


@pytest.mark.parametrize("role", ["detector", "segmenter"])
def test_a_calibration_is_removed_with_the_part_that_it_was_fitted_on(base: Bundle, tmp_path: Path, role: str) -> None:
    put_part(tmp_path / "mine", part(), base)
    made = put_part(tmp_path / "mine", part(role=role, calibration={}, figures={"froc": 0.0}))
    assert made.calibration == {}
    assert "classifier" not in made.figures, "measured through the old part"
    assert made.figures[role] == {"froc": 0.0}
    card = (tmp_path / "mine" / "card.md").read_text()
    assert all(f"- {level}: not calibrated" in card for level in Level)


@pytest.mark.parametrize("role", ["detector", "segmenter"])
def test_the_calibration_of_a_base_is_not_copied_if_a_part_is_replaced(base: Bundle, tmp_path: Path, role: str) -> None:
    calibrated = put_part(tmp_path / "calibrated", part(), base)
    made = put_part(tmp_path / "mine", part(role=role, calibration={}), calibrated)
    assert (made.calibration, "classifier" in made.figures) == ({}, False)


def test_replacing_a_part_by_an_equal_one_keeps_calibration_and_measurements(base: Bundle, tmp_path: Path) -> None:
    put_part(tmp_path / "mine", part(role="detector", calibration={}), base)
    put_part(tmp_path / "mine", part())
    made = put_part(tmp_path / "mine", part(role="detector", calibration={}, figures={"froc": 0.6}))
    assert made.calibration == {Level.LESION: PLATT}
    assert made.figures == {"detector": {"froc": 0.6}, "classifier": {"auc": 0.75}}


def test_another_classifier_keeps_the_measurements_of_detector_and_segmenter(base: Bundle, tmp_path: Path) -> None:
    put_part(tmp_path / "mine", part(), base)
    made = put_part(tmp_path / "mine", part(weights={"kernel": torch.zeros(2, 2)}, calibration={}, figures={}))
    assert (made.calibration, made.figures["detector"]) == ({}, {"froc": 0.5})


def test_replaced_weights_are_not_kept(base: Bundle, tmp_path: Path) -> None:
    put_part(tmp_path / "mine", part(), base)
    put_part(tmp_path / "mine", part(weights={"kernel": torch.zeros(2, 2)}))
    assert len(list((tmp_path / "mine").glob("classifier-*"))) == 1


def test_a_bundle_stays_complete_if_writing_is_interrupted(
    base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put_part(tmp_path / "mine", part(), base)

    def cut_off(_: Bundle) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_writing, "_write_cards", cut_off)
    with pytest.raises(KeyboardInterrupt):
        put_part(tmp_path / "mine", part(weights={"kernel": torch.zeros(2, 2)}))
    after = read_bundle(tmp_path / "mine")
    assert after.id == before.id
    assert [problem for problem in verify(after) if "classifier" in problem] == []


def test_every_card_says_research_use_only(base: Bundle, tmp_path: Path) -> None:
    made = put_part(tmp_path / "mine", part(), base)
    card = (tmp_path / "mine" / "card.md").read_text()
    assert made.intended_use == "Research use only, not for diagnosis."
    assert made.intended_use in card
    assert "platt, 120 cases of 60 patients, 40% of them malignant" in card


def test_an_unusable_calibration_is_reported(base: Bundle, tmp_path: Path) -> None:
    put_part(tmp_path / "mine", part(), base)
    card = tmp_path / "mine" / "bundle.toml"
    whole = card.read_text()
    for old, new, expected in (
        ('method = "platt"', 'method = "magic"', "calibration.lesion.*magic"),
        ("[calibration.lesion", "[calibration.organ", "calibration.organ is not a level"),
        ("offset = [", "shift = [", "has the parameters slope, offset"),
    ):
        card.write_text(whole.replace(old, new))
        with pytest.raises(BundleError, match=expected):
            read_bundle(tmp_path / "mine")


def test_adding_a_calcification_detector_removes_the_measurements_that_depend_on_it(
    base: Bundle, tmp_path: Path
) -> None:
    put_part(tmp_path / "mine", part(), base)
    found = part(role="calcifications", architecture="grains", figures={"froc": 0.8}, calibration={})
    made = put_part(tmp_path / "mine", found)
    assert list(made.parts) == ["detector", "calcifications", "segmenter", "classifier"]
    assert made.calcifications is not None
    assert made.calcifications.architecture == "grains"
    assert made.figures == {"detector": {"froc": 0.5}, "calcifications": {"froc": 0.8}}
    assert made.calibration == {}
    assert "| calcifications | grains |" in (tmp_path / "mine" / "card.md").read_text()
    again = put_part(tmp_path / "mine", part())
    assert again.calcifications == made.calcifications
