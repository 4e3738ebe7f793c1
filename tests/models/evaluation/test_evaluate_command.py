"""`mammo-node evaluate` and `mammo-node ablate` on phantoms: reports, and sentences for bad input."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from narrow_networks import narrow_lite_medsam
from phantoms import WrittenPhantoms
from typer.testing import CliRunner
from typer.testing import Result as Ran

from models.bundles.bundle import BundleError, find_bundle
from models.datasets.catalog import DATASETS
from models.datasets.split import Split
from models.errors import UserError
from models.training.ablation import any_recipe
from models.training.recipe import RecipeError
from node.cli.main import build

pytestmark = pytest.mark.slow

DETECTOR = """
kind = "detector"
[split]
test = 0.2
validation = 0.2
[fit]
epochs = 1
learning_rate = 1e-3
[model]
scale = "n"
input_px = 64
attention = "{attention}"
[task]
batch = 16
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
[fit]
epochs = 1
learning_rate = 1e-4
[task]
batch = 8
views = 1
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def command() -> Callable[..., Ran]:
    def run(*arguments: object) -> Ran:
        return CliRunner().invoke(build(), [str(argument) for argument in arguments])

    return run


@pytest.fixture
def split(phantom_set: WrittenPhantoms, tmp_path: Path) -> Path:
    """Two malignant and two healthy images, of four patients, are tested; one of a fifth chooses the threshold."""
    images = [(truth.patient, image) for truth in phantom_set.truths for image in truth.images if image.view == "CC"]
    held: dict[str, str] = {}
    for lesions, many in ((True, 3), (False, 2)):
        fitting = [
            (patient, image)
            for patient, image in images
            if lesions is any(lesion.malignant for lesion in image.lesions)
        ]
        for patient, image in fitting:
            if patient not in held and many and lesions is bool(image.lesions):
                held[patient] = f"{patient}/{image.laterality}{image.view}"
                many -= 1
    validation, *test = held.values()
    train = tuple(f"{patient}/{image.laterality}{image.view}" for patient, image in images if patient not in held)
    path = tmp_path / "split.json"
    Split("patient", 1, train, (validation,), tuple(test)).write(path)
    return path


def test_a_bundle_is_evaluated_into_a_page_and_json(
    command: Callable[..., Ran], phantom_set: WrittenPhantoms, split: Path, tmp_path: Path
) -> None:
    recipe, bundle, out = tmp_path / "plain.toml", tmp_path / "bundle", tmp_path / "report"
    recipe.write_text(DETECTOR.format(attention="none"))
    data = ("--data", phantom_set.spec, "--device", "cpu")
    assert command("train", "detector", "--recipe", recipe, "--out", bundle, *data).exit_code == 0
    asked = ("evaluate", "--bundle", bundle, "--out", out, "--split", split, *data, "--resamples", 9)
    ran = command(*asked)
    assert ran.exit_code == 0, ran.output
    printed = json.loads((out / "report.json").read_text())
    assert [section["id"] for section in printed["sections"]] == [
        "detection",
        "segmentation",
        "malignancy",
        "subgroups",
    ]
    assert {"roc", "precision-recall", "calibration"} <= set(printed["sections"][2]["plots"])
    assert "examples" in printed["sections"][1]["plots"]
    assert "data:image/png;base64" in (out / "report.html").read_text()
    tables = {table["id"]: table for section in printed["sections"] for table in section["tables"]}
    assert tables["areas"]["rows"][0]["name"] == "images (2 malignant, 2 not)"
    pooled, within, precision = tables["areas"]["rows"][0]["cells"]
    assert 0 <= pooled["value"] <= 1
    assert 0 <= precision["value"] <= 1
    assert "not_measured" in within, "phantoms are of no hospital"
    assert [row["name"] for row in tables["calibration"]["rows"]] == ["lesion", "image", "breast", "exam"]
    assert "not calibrated" in tables["calibration"]["rows"][1]["cells"][0]["not_measured"]
    assert "images of patients" not in printed["about"]["side"]
    assert any("that the detector was trained on" in warning for warning in printed["about"]["warnings"])
    assert "Not held out" in ran.output
    assert any("not on the test side of split.json" in sentence for sentence in printed["about"]["elsewhere"])
    assert str(phantom_set.folder.parent) not in (out / "report.html").read_text()
    (pictures,) = out.glob("pictures-*.html")
    assert pictures.read_text().count("data:image/jpeg;base64") == 4
    seen = (out / "observations.jsonl").read_text()
    assert seen.count("\n") == 5  # the header and four images
    drawn = [lesion for line in seen.splitlines()[1:] for lesion in json.loads(line)["lesions"]]
    assert drawn[0]["by_true_box"][2]["true"] > 0  # three passes were evaluated

    assert command(*asked).exit_code == 0
    assert (out / "observations.jsonl").read_text() == seen
    assert json.loads((out / "report.json").read_text()) == printed


def test_help_names_the_data_sets(command: Callable[..., Ran]) -> None:
    for asked in (("evaluate",), ("ablate",), ("train", "detector")):
        help_text = re.sub(r"[^a-z-]", "", command(*asked, "--help").output)
        assert all(name in help_text for name in DATASETS), asked


def test_a_folder_that_cannot_be_written_is_named(
    command: Callable[..., Ran], phantom_set: WrittenPhantoms, split: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    recipe = tmp_path / "plain.toml"
    recipe.write_text(DETECTOR.format(attention="none"))
    out = tmp_path / "file" / "report"
    asked = ("--data", phantom_set.spec, "--device", "cpu", "--out", out)
    for ran in (command("evaluate", "--split", split, *asked), command("ablate", recipe, *asked)):
        assert isinstance(ran.exception, UserError)
        assert "cannot be written" in str(ran.exception)


def test_an_unreadable_recipe_is_reported_with_the_shipped_ones() -> None:
    assert any_recipe("mlsam-final").kind == "segmenter"
    with pytest.raises(RecipeError, match=r"no-such.*Shipped recipes: calcifications, .*classifier, .*detector"):
        any_recipe("no-such")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--data", "nothing:/nowhere"), "names no data set"),
        (("--data", "phantom:/nowhere"), "is not a folder"),
        (("--split", "missing.json"), "cannot be read"),
        (("--device", "abacus"), "is not a device"),
    ],
)
def test_an_evaluation_that_cannot_be_done_is_refused_with_a_sentence(
    command: Callable[..., Ran],
    phantom_set: WrittenPhantoms,
    tmp_path: Path,
    arguments: tuple[str, str],
    expected: str,
) -> None:
    data = () if "--data" in arguments else ("--data", phantom_set.spec)
    ran = command("evaluate", "--out", tmp_path / "report", *data, *arguments)
    assert isinstance(ran.exception, UserError)
    assert expected in str(ran.exception)


def test_an_empty_side_of_a_split_is_refused(
    command: Callable[..., Ran], phantom_set: WrittenPhantoms, split: Path, tmp_path: Path
) -> None:
    sides = json.loads(split.read_text())
    split.write_text(json.dumps({**sides, "test": []}))
    ran = command("evaluate", "--data", phantom_set.spec, "--out", tmp_path / "report", "--split", split)
    assert isinstance(ran.exception, UserError)
    assert "There is no image to measure" in str(ran.exception)


def test_a_damaged_bundle_is_named(command: Callable[..., Ran], phantom_set: WrittenPhantoms, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(find_bundle("research-default"), bundle)
    weights = next(bundle.glob("detector*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    ran = command("evaluate", "--data", phantom_set.spec, "--out", tmp_path / "report", "--bundle", bundle)
    assert isinstance(ran.exception, BundleError)
    assert weights.name in str(ran.exception)


def test_recipes_are_compared_over_the_same_patients(
    command: Callable[..., Ran], phantom_set: WrittenPhantoms, tmp_path: Path
) -> None:
    recipes = [tmp_path / f"{name}.toml" for name in ("plain", "attended", "scores")]
    texts = (DETECTOR.format(attention="none"), DETECTOR.format(attention="cbam"), CLASSIFIER)
    for path, text in zip(recipes, texts, strict=True):
        path.write_text(text)
    out = tmp_path / "ablation"
    asked = ("ablate", *recipes, "--data", phantom_set.spec, "--out", out, "--device", "cpu", "--resamples", 5)
    ran = command(*asked)
    assert ran.exit_code == 0, ran.output
    tables = {
        table["id"]: table
        for section in json.loads((out / "report.json").read_text())["sections"]
        for table in section["tables"]
    }
    ours = [row for row in tables["B1"]["rows"] if not row["theirs"]]
    assert [row["name"] for row in ours] == ["plain", "attended"]
    (difference,) = tables["B1-differences"]["rows"]
    assert difference["name"] == "attended − plain"
    plain, attended, between = (row["cells"][3]["value"] for row in (*ours, difference))
    assert between == pytest.approx(attended - plain)
    assert ours[0]["counts"] == ours[1]["counts"]
    names = [row["name"] for row in tables["A1"]["rows"]]
    assert names[:4] == [f"scores, {what}" for what in ("images", "images with masses", "lesions", "masses")]
    assert "BI-RADS > 3 = malignant (0 below 4, as in the paper), the same images" in names
    assert any("0.74" in note and "0.51" in note for note in tables["A1"]["notes"])
    assert "A1-images-differences" not in tables, "there is but one classifier"
    assert "theirs: CBAM" in ran.output
    splits = [
        (out / name / "fold-1/training" / kind / "split.json").read_text()
        for name, kind in (("plain", "detector"), ("attended", "detector"), ("scores", "classifier"))
    ]
    assert splits[0] == splits[1] == splits[2]


def test_recipes_of_the_same_name_and_weights_without_a_recipe_are_refused(
    command: Callable[..., Ran], phantom_set: WrittenPhantoms, tmp_path: Path
) -> None:
    recipe = tmp_path / "one.toml"
    recipe.write_text(DETECTOR.format(attention="se"))
    asked = ("--data", phantom_set.spec, "--out", tmp_path / "ablation", "--device", "cpu")
    assert "Two recipes are named one" in str(command("ablate", recipe, recipe, *asked).exception)
    assert "give RECIPE=FILE" in str(command("ablate", recipe, "--start", "other=x.pt", *asked).exception)
    assert "is no file" in str(command("ablate", recipe, "--start", "one=x.pt", *asked).exception)
    recipe.write_text("epochs = 3")
    assert "is not a recipe" in str(command("ablate", recipe, *asked).exception)


def test_segmenters_are_compared_fold_by_fold(
    command: Callable[..., Ran], phantom_set: WrittenPhantoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow_lite_medsam(monkeypatch)
    recipe = tmp_path / "drawn.toml"
    recipe.write_text(SEGMENTER)
    out = tmp_path / "ablation"
    asked = ("ablate", recipe, "--folds", 3, "--data", phantom_set.spec, "--out", out, "--device", "cpu")
    ran = command(*asked, "--resamples", 5)
    assert ran.exit_code == 0, ran.output
    (section,) = json.loads((out / "report.json").read_text())["sections"]
    tables = {table["id"]: [row for row in table["rows"] if not row["theirs"]] for table in section["tables"]}
    assert section["plots"] == ["examples-drawn"]
    folds = ("fold 1", "fold 2", "fold 3", "mean")
    assert [row["name"] for row in tables["folds"]] == [f"drawn, {fold}" for fold in folds]
    (whole,) = tables["B5"]
    assert all("It has no detector" in cell["not_measured"] for cell in whole["cells"])
    assert [row["name"] for row in tables["B3"]] == [row["name"] for row in tables["B4"]] == ["drawn"]
    lesions = sum(len(image.lesions) for truth in phantom_set.truths for image in truth.images)
    assert tables["B4"][0]["counts"]["lesions"] == lesions, "each lesion is tested in one fold"
