"""`mammo-node train`: from recipe and data to a part of a bundle that the node loads; kills, folds and bad input."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from narrow_networks import narrow_lite_medsam
from phantoms import WrittenPhantoms
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner
from typer.testing import Result as Ran

from models.bundles.bundle import read_bundle, verify
from models.bundles.writing import stored
from models.catalog import load_part, untrained
from models.errors import UserError
from models.training.checkpoint import FILE
from models.training.kinds import KINDS, recipe_of
from models.training.recipe import RecipeError, find_recipe, shipped_recipes
from node.cli.train import figure_text, train

pytestmark = pytest.mark.slow

DETECTOR = """
kind = "detector"
[split]
test = 0.2
validation = 0.2
[fit]
epochs = 2
learning_rate = 1e-3
average = 0.5
patience = 3
[model]
scale = "n"
input_px = 64
[task]
batch = 8
"""
CLASSIFIER = """
kind = "classifier"
[split]
test = 0.3
validation = 0.3
[fit]
epochs = 1
learning_rate = 1e-3
[model]
kind = "efficientnet"
mode = "both"
backbone = "efficientnet_lite0"
image_px = 64
frame_px = 128
[task]
batch = 4
[calibration]
least = 2
"""
SEGMENTER = """
kind = "segmenter"
[split]
test = 0.3
validation = 0.3
[fit]
epochs = 1
learning_rate = 1e-3
[model]
architecture = "lite-medsam"
[task]
batch = 4
views = 1
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def command(phantom_set: WrittenPhantoms, tmp_path: Path) -> Callable[..., Ran]:
    """`mammo-node train KIND` with the text of a recipe, on the phantoms."""

    def run(kind: str, recipe: str, *arguments: object, out: str = "bundle") -> Ran:
        path = tmp_path / f"{kind}.toml"
        path.write_text(recipe)
        data = ("--data", phantom_set.spec, "--out", tmp_path / out, "--device", "cpu")
        return CliRunner().invoke(train, [kind, "--recipe", str(path), *map(str, (*data, *arguments))])

    return run


def refused(ran: Ran) -> str:
    assert isinstance(ran.exception, UserError), ran.output
    return str(ran.exception)


def test_a_figure_is_printed_with_its_interval() -> None:
    assert figure_text([0.934, 0.82, 1.0]) == "0.93 (95 % CI 0.82 to 1.00)"
    assert figure_text([0.934]) == "0.93 (no interval: too few patients)"
    assert figure_text(7) == "7"


def test_a_trained_detector_is_written_into_a_bundle(command: Callable[..., Ran], tmp_path: Path) -> None:
    ran = command("detector", DETECTOR)
    assert ran.exit_code == 0, ran.output
    assert "On held-out patients:" in ran.output
    assert re.search(r"FROC score: \d\.\d\d \(no interval: too few patients\)\n", ran.output)
    assert "Research use only" in ran.output
    bundle = read_bundle(tmp_path / "bundle")
    assert verify(bundle) == []
    assert "phantom" in bundle.detector.training_data
    assert 0 < (bundle.detector.largest_lesion or 0) < 0.2
    (value,) = bundle.figures["detector"]["FROC score"]  # of two patients
    assert 0 <= value <= 1
    load_part(bundle, bundle.detector, torch.device("cpu"), mixed_precision=False)
    split = json.loads((tmp_path / "bundle" / "training" / "detector" / "split.json").read_text())
    assert not set(split["train"]) & set(split["test"])


def test_a_classifier_is_trained_and_calibrated_if_its_scores_are_informative(
    command: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = command("classifier", CLASSIFIER)
    assert ran.exit_code == 0, ran.output
    bundle = read_bundle(tmp_path / "bundle")
    for level in ("lesion", "image"):
        # Five steps may not be enough: then this is reported, and no probability is given.
        assert (f"Scores of the level {level} are not calibrated" in ran.output) == (level not in bundle.calibration)
    assert all(0 < calibration.prevalence < 1 for calibration in bundle.calibration.values())
    again = command("classifier", CLASSIFIER)
    assert read_bundle(tmp_path / "bundle").id == bundle.id
    assert again.exit_code == 0


def test_a_training_killed_after_its_first_epoch_ends_with_the_same_weights(
    command: Callable[..., Ran], phantom_set: WrittenPhantoms, tmp_path: Path
) -> None:
    assert command("detector", DETECTOR, out="undisturbed").exit_code == 0
    killed = tmp_path / "killed"
    code = f"""
import sys, os, signal
sys.argv = ["mammo-node", "train", "detector", "--recipe", {str(tmp_path / "detector.toml")!r}, "--device", "cpu",
    "--data", {phantom_set.spec!r}, "--out", {str(killed)!r}]
import torch
torch.set_num_threads(1)
import models.training.fit as fit
write = fit.write_checkpoint
def then_die(*arguments):
    write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
fit.write_checkpoint = then_die
from node.cli.main import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert (killed / "training" / "detector" / FILE).is_file()
    assert not (killed / "bundle.toml").exists()
    assert command("detector", DETECTOR, out="killed").exit_code == 0
    undisturbed, resumed = (read_bundle(tmp_path / name).detector for name in ("undisturbed", "killed"))
    assert undisturbed.sha256 == resumed.sha256


def test_another_recipe_in_the_same_folder_is_refused_and_restart_starts_again(
    command: Callable[..., Ran], tmp_path: Path
) -> None:
    short = DETECTOR.replace("epochs = 2", "epochs = 1")
    assert command("detector", short).exit_code == 0
    changed = short.replace("1e-3", "2e-3")
    message = refused(command("detector", changed))
    assert "training.safetensors is of another training" in message
    assert "--restart" in message
    before = read_bundle(tmp_path / "bundle").id
    assert command("detector", changed, "--restart").exit_code == 0
    assert read_bundle(tmp_path / "bundle").id != before


def test_folds_are_trained_each_in_its_folder_and_reported_together(
    command: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = command("detector", DETECTOR.replace("epochs = 2", "epochs = 1"), "--folds", 3)
    assert ran.exit_code == 0, ran.output
    assert "mean ± sd" in ran.output
    tested = [
        json.loads((tmp_path / f"bundle/fold-{n}/training/detector/split.json").read_text())["test"] for n in (1, 2, 3)
    ]
    assert sum(map(len, tested)) == len({name for fold in tested for name in fold})
    summary = json.loads((tmp_path / "bundle" / "folds.json").read_text())["summary"]
    assert set(summary["FROC score"]) == {"mean", "sd"}


def test_a_given_split_is_used_instead_of_that_of_the_recipe(command: Callable[..., Ran], tmp_path: Path) -> None:
    one_epoch = DETECTOR.replace("epochs = 2", "epochs = 1")
    assert command("detector", one_epoch).exit_code == 0
    drawn = json.loads((tmp_path / "bundle/training/detector/split.json").read_text())
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({**drawn, "test": drawn["validation"], "validation": drawn["test"]}))
    ran = command("detector", one_epoch, "--split", mine, out="other")
    assert ran.exit_code == 0, ran.output
    assert json.loads((tmp_path / "other/training/detector/split.json").read_text())["test"] == drawn["validation"]
    both = command("detector", one_epoch, "--split", mine, "--folds", 3, out="third")
    assert both.exit_code == 2
    assert "--split" in both.output


def test_unusable_data_end_the_command_with_what_to_give(command: Callable[..., Ran], tmp_path: Path) -> None:
    message = refused(command("detector", DETECTOR, "--data", "nothing:here"))
    assert "'nothing:here' names no data set" in message
    message = refused(command("detector", DETECTOR, "--data", f"cdd-cesm:{tmp_path}"))
    assert str(tmp_path) in message


@pytest.mark.parametrize(
    ("change", "to", "expected"),
    [
        ('kind = "detector"', 'kind = "segmenter"', "kind is 'segmenter', but a detector is to be trained"),
        ("input_px = 64", "input_px = 100", "model.input_px"),
        ("batch = 8", "batches = 8", "task.batches"),
        ("epochs = 2", "epochs = 0", "fit.epochs"),
        ("test = 0.2", "test = 0.9", "split.test"),
        ("[fit]", "[fits]", "fit: Field required"),
        ("epochs = 2", "epochs = ", "is not TOML"),
    ],
)
def test_an_unusable_recipe_is_reported_with_its_key(tmp_path: Path, change: str, to: str, expected: str) -> None:
    path = tmp_path / "detector.toml"
    path.write_text(DETECTOR.replace(change, to))
    with pytest.raises(RecipeError, match=expected.replace("(", r"\(")) as caught:
        recipe_of("detector", path)
    assert str(path) in str(caught.value)


def test_a_missing_recipe_is_reported_with_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml cannot be read.*Shipped recipes: .*detector"):
        recipe_of("detector", tmp_path / "none.toml")
    with pytest.raises(RecipeError, match=r"'painter' cannot be trained\. Known: detector"):
        recipe_of("painter", "detector")


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_for_its_command(name: str) -> None:
    kind = next(kind for kind in KINDS if f'kind = "{kind}"' in find_recipe(name).read_text().splitlines())
    recipe = recipe_of(kind, name)
    assert recipe.name == name
    assert len(recipe.digest) == 64


def test_a_segmenter_is_trained_and_its_frozen_weights_stay_unchanged(
    command: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow_lite_medsam(monkeypatch)
    torch.manual_seed(3)
    network, _ = untrained("lite-medsam", {})
    start = tmp_path / "start.safetensors"
    save_file(network.state_dict(), start)
    ran = command("segmenter", SEGMENTER, "--start", start)
    assert ran.exit_code == 0, ran.output
    bundle = read_bundle(tmp_path / "bundle")
    trained = load_file(bundle.segmenter.weights)
    kept = stored(network.state_dict(), half=True)
    changed = {name for name in kept if not torch.equal(trained[name], kept[name])}
    assert changed
    assert all(name.startswith("mask_decoder.") for name in changed)
    load_part(bundle, bundle.segmenter, torch.device("cpu"), mixed_precision=False)
