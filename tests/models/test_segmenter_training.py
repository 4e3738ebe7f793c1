"""A segmenter learns in the parts that its recipe names, from lesions shown as they will be when it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_cases import drawn_case, drawn_cases
from safetensors.torch import save_file

from models.catalog import untrained
from models.datasets.case import DatasetError, Pathology
from models.training.fit import fit
from models.training.kinds import recipe_of
from models.training.mask_loss import dice_and_cross_entropy, uncertain_points
from models.training.recipe import CalibrationRecipe, FitRecipe, Recipe, SplitRecipe, find_recipe, shipped_recipes
from models.training.segmenter import Model, TaskSettings, _turned, part, prepare
from models.training.start import StartError
from models.types import Box, Mammogram, Mask

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _recipe(model: dict[str, Any] | None = None, **task: Any) -> Recipe:
    return Recipe(
        name="small",
        kind="segmenter",
        split=SplitRecipe(),
        fit=FitRecipe(epochs=1, learning_rate=1e-3),
        model=Model(**(model or {})),
        task=TaskSettings(**{"views": 1, "batch": 2, **task}),
        calibration=CalibrationRecipe(),
    )


@pytest.mark.parametrize(
    ("architecture", "trained", "loss"),
    [
        ("lite-medsam", ("mask_decoder",), "dice+bce"),
        ("lite-medsam", ("image_encoder", "mask_decoder"), "dice+bce"),
        ("mlsam-tiny", ("additions",), "uncertain-points"),
    ],
)
def test_only_the_parts_that_the_recipe_names_are_changed(
    architecture: str, trained: tuple[str, ...], loss: str, tmp_path: Path
) -> None:
    recipe = _recipe({"architecture": architecture}, trained=trained, loss=loss)
    task = prepare(recipe, drawn_cases(2), drawn_cases(1, first=2), None, CPU)
    before = {name: one.clone() for name, one in task.network.named_parameters()}
    network = fit(task, recipe.fit, tmp_path, CPU, lambda *_: None)
    changed = {name for name, one in network.named_parameters() if not torch.equal(one, before[name])}
    net, _ = untrained(architecture, {})
    assert {net.part_of(name) for name in changed} == set(trained)


def test_training_draws_a_lesion_better(tmp_path: Path) -> None:
    weights = Path(__file__).parents[2] / "models/bundles/research-default/segmenter.safetensors"
    recipe = _recipe(views=2, jitter=0.05)
    task = prepare(recipe, drawn_cases(2), drawn_cases(2), weights, CPU)
    before = task.validate(task.network)["dice"]
    network = fit(task, recipe.fit, tmp_path, CPU, lambda *_: None)
    assert task.validate(network)["dice"] > before
    assert part(network, recipe) == ("lite-medsam", {})


def test_a_lesion_is_shown_as_it_will_be_when_it_is_read() -> None:
    recipe = _recipe({"settings": {"margin_mm": 2.0}})
    (view,) = prepare(recipe, drawn_cases(1), drawn_cases(1), None, CPU)._validation
    rows, columns = np.nonzero(view.drawn.numpy() >= 0.5)
    left, top, right, bottom = view.box.tolist()
    assert left < columns.min() < columns.max() < right
    assert top < rows.min() < rows.max() < bottom
    # 2 mm on each side of a box of 15 mm, in which the disc has 13.
    assert (columns.max() + 1 - columns.min()) / (right - left) == pytest.approx(13 / 19, abs=0.03)


@pytest.mark.parametrize("which", range(8))
def test_a_turned_image_takes_its_mask_with_it(which: int) -> None:
    pixels = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    mask = Mask(Box(1, 2, 4, 7), pixels[1:4, 2:7] > 0.5)
    image, turned = _turned(Mammogram(pixels, spacing_mm=(0.1, 0.2)), mask, which)
    assert sorted(image.pixels[turned.full(image.shape)]) == sorted(pixels[mask.full((6, 9))])
    assert image.spacing_mm == ((0.2, 0.1) if which & 4 else (0.1, 0.2))


def test_the_least_sure_places_are_looked_at_most() -> None:
    torch.manual_seed(0)
    logits = torch.full((1, 64, 64), 9.0)
    logits[:, :, 22:42] = 0.0
    chosen, truth = uncertain_points(logits, (logits > 5).float(), points=400)
    assert chosen.shape == truth.shape == (1, 400)
    assert (chosen.abs() < 5).float().mean() > 0.7  # of the picture it is a third


def test_a_perfect_drawing_loses_nothing_and_an_empty_one_all() -> None:
    drawn = torch.zeros(1, 8, 8)
    drawn[:, 2:6, 2:6] = 1
    dice, entropy = dice_and_cross_entropy((drawn * 2 - 1) * 50, drawn)
    assert dice.item() == pytest.approx(0, abs=1e-4)
    assert entropy.item() == pytest.approx(0, abs=1e-4)
    dice, _ = dice_and_cross_entropy(torch.full_like(drawn, -50), drawn)
    assert dice.item() > 0.9


def test_boxes_alone_teach_no_outline() -> None:
    boxes = [drawn_case(0, Pathology.BENIGN, outlined=False)]
    with pytest.raises(DatasetError, match="No lesion of a training image is outlined"):
        prepare(_recipe(), boxes, drawn_cases(1), None, CPU)


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    save_file({"head.weight": torch.zeros(2, 2)}, wrong)
    with pytest.raises(StartError, match=r"wrong\.safetensors does not fit lite-medsam"):
        prepare(_recipe(), drawn_cases(1), drawn_cases(1), wrong, CPU)
    with pytest.raises(StartError, match="asks for no network"):
        prepare(_recipe({"settings": {"margin": 1}}), drawn_cases(1), drawn_cases(1), None, CPU)


def test_every_recipe_of_a_segmenter_can_be_read() -> None:
    kinds = {name: find_recipe(name).read_text() for name in shipped_recipes()}
    segmenters = [name for name, text in kinds.items() if 'kind = "segmenter"' in text]
    assert segmenters
    for name in segmenters:
        model = recipe_of("segmenter", name).model
        assert untrained(model.architecture, model.settings) if "tiny" in model.architecture else model.architecture


def test_the_rows_of_table_3_differ_in_what_the_table_says() -> None:
    def branches(name: str) -> dict[str, Any]:
        return dict(recipe_of("segmenter", name).model.settings)

    assert recipe_of("segmenter", "mlsam-unfused").fit == recipe_of("segmenter", "hq-sam-vit-l").fit
    assert branches("mlsam-vit-l") == {"hq_token_only": True}
    assert branches("mlsam-unfused") == {"hq_token_only": True, "global_fusion": False}
    assert branches("mlsam-final") == {"hq_token_only": True, "early": False, "middle": False}
