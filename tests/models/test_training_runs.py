"""A recipe and a data set give a part of a bundle that the node can load."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from models.classifiers import efficient_net
from models.classifiers.efficient_net import MalignancyNet
from models.datasets.cdd_cesm import DatasetError
from models.detectors import yolo_cbam
from models.training.classifier import train_classifier
from models.training.detector import train_detector
from models.training.recipe import ClassifierRecipe, DetectorRecipe, RecipeError, read_recipe
from models.training.start import StartError, read_start, take_start
from node.cli.failure import CommandFailed
from node.cli.train import train

CPU = torch.device("cpu")
RECIPES = Path(yolo_cbam.__file__).parents[1] / "recipes"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _smaller(name: str, folder: Path, **changes: object) -> Path:
    lines = []
    for line in (RECIPES / name).read_text().splitlines():
        key = line.split(" = ")[0]
        lines.append(f"{key} = {json.dumps(changes[key])}" if key in changes else line)
    path = folder / name
    path.write_text("\n".join(lines))
    return path


def _detector_recipe(folder: Path) -> Path:
    return _smaller("detector.toml", folder, scale="n", input_px=64, epochs=1, batch=4)


def _classifier_recipe(folder: Path) -> Path:
    return _smaller("classifier.toml", folder, image_px=64, epochs=1, batch=2)


@pytest.mark.parametrize(("name", "kind"), [("detector.toml", DetectorRecipe), ("classifier.toml", ClassifierRecipe)])
def test_the_recipes_that_ship_can_be_read(name: str, kind: type[DetectorRecipe | ClassifierRecipe]) -> None:
    assert read_recipe(RECIPES / name, kind).epochs > 0


def test_both_recipes_hold_out_the_same_patients() -> None:
    detector = read_recipe(RECIPES / "detector.toml", DetectorRecipe)
    assert detector.split == read_recipe(RECIPES / "classifier.toml", ClassifierRecipe).split


def test_the_detector_is_trained_and_its_weights_load(cesm_template: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    arguments = ["--recipe", str(_detector_recipe(tmp_path)), "--data", str(cesm_template), "--out", str(out)]
    result = CliRunner().invoke(train, ["detector", *arguments], catch_exceptions=False)
    assert "sensitivity at 0.5 false positives an image" in result.output
    weights = load_file(out / "detector.safetensors")
    assert weights["model.0.conv.weight"].dtype == torch.float16
    yolo_cbam.load(weights, CPU, False, scale="n", input_px=64)
    figures = json.loads((out / "detector-figures.json").read_text())
    split = json.loads((out / "split.json").read_text())
    assert figures["images"]["test"] <= len(split["test"])
    assert not set(split["train"]) & set(split["test"])


def test_the_classifier_is_trained_from_start_weights_and_loads(cesm_template: Path, tmp_path: Path) -> None:
    out, start = tmp_path / "bundle", tmp_path / "start.safetensors"
    save_file(MalignancyNet().backbone.state_dict(), start)
    arguments = ["--recipe", str(_classifier_recipe(tmp_path)), "--data", str(cesm_template), "--out", str(out)]
    result = CliRunner().invoke(train, ["classifier", *arguments, "--start", str(start)], catch_exceptions=False)
    assert "malignant against the rest" in result.output
    efficient_net.load(load_file(out / "classifier.safetensors"), CPU, False, image_px=64)


def test_the_same_seed_trains_the_same_weights(cesm_template: Path, tmp_path: Path) -> None:
    recipe = read_recipe(_classifier_recipe(tmp_path), ClassifierRecipe)
    made = []
    for name in ("one", "two"):
        out = tmp_path / name
        out.mkdir()
        train_classifier(recipe, cesm_template, out, None, CPU, lambda *_: None)
        made.append((out / "classifier.safetensors").read_bytes())
    assert made[0] == made[1]


def test_the_steps_done_are_told_up_to_the_last(cesm_template: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    recipe = read_recipe(_detector_recipe(tmp_path), DetectorRecipe)
    train_detector(recipe, cesm_template, tmp_path, None, CPU, lambda done, total, _: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))


def test_a_missing_mask_ends_the_command_with_its_name(cesm: Path, tmp_path: Path) -> None:
    (cesm / "native-cc" / "masks" / "IM0002.png").unlink()
    arguments = ["--recipe", str(_detector_recipe(tmp_path)), "--data", str(cesm), "--out", str(tmp_path / "out")]
    with pytest.raises(CommandFailed, match=r"IM0002\.png is missing"):
        CliRunner().invoke(train, ["detector", *arguments], catch_exceptions=False)


def test_a_set_without_lesions_cannot_train_a_detector(cesm: Path, tmp_path: Path) -> None:
    for mask in cesm.glob("*/masks/*"):
        cv2.imwrite(str(mask), 0 * cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE))
    recipe = read_recipe(_detector_recipe(tmp_path), DetectorRecipe)
    with pytest.raises(DatasetError, match="has a lesion that can be used"):
        train_detector(recipe, cesm, tmp_path, None, CPU, lambda *_: None)


def test_a_recipe_with_an_unknown_or_impossible_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"detector\.toml .*input_px"):
        read_recipe(_smaller("detector.toml", tmp_path, input_px=100), DetectorRecipe)
    with pytest.raises(RecipeError, match=r"image_px"):
        read_recipe(RECIPES / "classifier.toml", DetectorRecipe)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml", DetectorRecipe)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"model": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(StartError, match="cannot be read as weights"):
        read_start(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_a_damaged_or_missing_file_of_start_weights_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError, match=name):
        read_start(tmp_path / name)
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(StartError, match=name):
        read_start(tmp_path / name)


def test_start_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"something": torch.zeros(3)}, path)
    with pytest.raises(StartError, match="None of the start weights fits"):
        take_start(torch.nn.Linear(2, 2), read_start(path))
    assert take_start(torch.nn.Linear(2, 2), {"bias": torch.zeros(2)}) == pytest.approx(2 / 6)


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_the_trap_is_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))  # noqa: S301
    assert (tmp_path / "sprung").exists()
