"""A segmenter is trained in the parts that its recipe names, from lesions shown as in reading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_cases import drawn_case, drawn_cases
from pydantic import ValidationError
from safetensors.torch import save_file

from models.catalog import untrained
from models.checkpoints.reading import StartError
from models.datasets.case import Case, DatasetError, Lesion, Pathology
from models.segmenters.vit import VITS, Vit
from models.training.fit import fit
from models.training.kinds import recipe_of
from models.training.recipe import CalibrationRecipe, FitRecipe, Recipe, SplitRecipe, find_recipe, shipped_recipes
from models.training.segmenter.mask_loss import dice_and_cross_entropy, uncertain_points
from models.training.segmenter.recipe import Model, TaskSettings
from models.training.segmenter.task import part, prepare
from models.training.segmenter.views import _turned
from models.types.mammogram import Mammogram
from models.types.region import Box, Mask

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small_vit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder of SAM and MedSAM with one narrow block: pictures of 1024 pixels in a second."""
    monkeypatch.setitem(VITS, "vit-b", Vit(16, 1, 1, ()))


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


@pytest.mark.usefixtures("small_vit")
@pytest.mark.parametrize(
    ("architecture", "trained", "loss"),
    [
        ("lite-medsam", ("mask_decoder",), "dice+bce"),
        ("lite-medsam", ("image_encoder", "mask_decoder"), "dice+bce"),
        ("sam-hq-tiny", ("additions",), "uncertain-points"),
        ("mlsam-tiny", ("additions",), "uncertain-points"),
        ("medsam-vit-b", ("mask_decoder",), "dice+bce"),
        ("medsam-vit-b", ("image_encoder", "mask_decoder"), "dice+bce"),
        ("sam-vit-b", ("mask_decoder",), "dice+bce"),
    ],
)
def test_only_the_parts_that_the_recipe_names_are_changed(
    architecture: str, trained: tuple[str, ...], loss: str, tmp_path: Path
) -> None:
    recipe = _recipe({"architecture": architecture}, trained=trained, loss=loss)
    task = prepare(recipe, drawn_cases(1), drawn_cases(1, first=2), None, CPU)
    before = {name: weight.clone() for name, weight in task.network.state_dict().items()}
    network: Any = fit(task, recipe.fit, tmp_path, CPU, lambda *_: None)
    changed = {name for name, weight in network.state_dict().items() if not torch.equal(weight, before[name])}
    assert {network.part_of(name) for name in changed} == set(trained)


def test_a_disabled_branch_is_not_trained() -> None:
    settings = {"early": False, "middle": False, "global_fusion": False}
    recipe = _recipe({"architecture": "mlsam-tiny", "settings": settings}, trained=("additions",))
    network = prepare(recipe, drawn_cases(1), drawn_cases(1), None, CPU).network
    learning = {
        ".".join(name.split(".")[:2]) for name, parameter in network.named_parameters() if parameter.requires_grad
    }
    assert learning == {"mask_decoder.hf_token", "mask_decoder.hf_mlp", "mask_decoder.embedding_encoder"}


@pytest.mark.usefixtures("small_vit")
def test_positions_of_boxes_keep_full_precision_in_a_training_of_mixed_precision() -> None:
    task = prepare(_recipe({"architecture": "medsam-vit-b"}), drawn_cases(2), drawn_cases(1), None, CPU)
    (batch,) = task.batches(0)
    exact, _ = task.loss(task.network, batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = task.loss(task.network, batch)
    assert mixed.item() == exact.item()


@pytest.mark.usefixtures("small_vit")
def test_a_trained_encoder_runs_in_half_precision_and_its_decoder_in_full_precision() -> None:
    recipe = _recipe({"architecture": "medsam-vit-b"}, trained=("image_encoder",))
    task = prepare(recipe, drawn_cases(1), drawn_cases(1), None, CPU)
    (batch,) = task.batches(0)
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = task._logits(task.network, batch)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def _two_lesions(apart: int) -> Case:
    case, second_case = drawn_case(0, Pathology.BENIGN), drawn_case(apart, Pathology.BENIGN)
    both: tuple[Lesion, ...] = (*case.read_lesions(case.read()), *second_case.read_lesions(second_case.read()))
    return replace(case, read_lesions=lambda _: both)


@pytest.mark.usefixtures("small_vit")
@pytest.mark.parametrize("trained", [("mask_decoder",), ("image_encoder", "mask_decoder")])
def test_lesions_in_the_same_crop_share_its_embedding(trained: tuple[str, ...]) -> None:
    recipe = _recipe({"architecture": "sam-vit-b"}, trained=trained, views=3)
    task = prepare(recipe, [_two_lesions(apart=4)], [_two_lesions(apart=4)], None, CPU)
    assert len(task._views) == 6
    assert len({view.shown for view in task._views}) == 3
    assert len({view.shown for view in task._validation}) == 1
    for view in task._views:
        if "image_encoder" in trained:  # one channel in half precision
            assert view.shown.content[0].nbytes == 1024 * 768 * 2
        assert {tensor.dtype for tensor in view.shown.content} == {torch.float16}


@pytest.mark.usefixtures("small_vit")
def test_a_shared_embedding_gives_the_same_masks_as_separate_ones() -> None:
    recipe = _recipe({"architecture": "sam-vit-b"})
    task = prepare(recipe, [_two_lesions(apart=4)], drawn_cases(1), None, CPU)
    network = task.network.eval()
    together, truth = task._logits(network, task._views)
    for number, view in enumerate(task._views):
        alone, drawn = task._logits(network, [view])
        assert torch.allclose(together[number], alone[0], atol=1e-4)
        assert torch.equal(truth[number], drawn[0])
    assert not torch.allclose(together[0], together[1], atol=1e-2)


def test_the_new_token_is_trained_alone_and_validated_together_with_the_mask_of_sam() -> None:
    recipe = _recipe({"architecture": "sam-hq-tiny"}, trained=("additions",), token_only=True)
    task = prepare(recipe, drawn_cases(1), drawn_cases(1), None, CPU)
    network: Any = task.network.eval()
    asked: list[bool] = []
    decode = network.decode

    def watched(*args: object, **kwargs: object) -> object:
        asked.append(network.hq_token_only)
        return decode(*args, **kwargs)

    network.decode = watched
    (batch,) = task.batches(0)
    task.loss(network, batch)
    task.validate(network)
    assert asked == [True, False]
    assert part(network, recipe) == ("sam-hq-tiny", {})


def test_a_part_that_the_network_lacks_is_named() -> None:
    with pytest.raises(StartError, match="lite-medsam has no additions"):
        prepare(_recipe(trained=("mask_decoder", "additions")), drawn_cases(1), drawn_cases(1), None, CPU)
    with pytest.raises(StartError, match="lite-medsam would not be trained"):
        prepare(_recipe(trained=()), drawn_cases(1), drawn_cases(1), None, CPU)
    with pytest.raises(StartError, match="lite-medsam has only SAM"):
        prepare(_recipe(token_only=True), drawn_cases(1), drawn_cases(1), None, CPU)
    with pytest.raises(ValidationError):
        _recipe(trained=("decoder",))


def test_training_improves_the_mask_of_a_lesion(tmp_path: Path) -> None:
    weights = Path(__file__).parents[3] / "models/bundles/research-default/segmenter.safetensors"
    recipe = _recipe(views=2, jitter=0.05)
    task = prepare(recipe, drawn_cases(2), drawn_cases(2), weights, CPU)
    before = task.validate(task.network)["dice"]
    network = fit(task, recipe.fit, tmp_path, CPU, lambda *_: None)
    assert task.validate(network)["dice"] > before
    assert part(network, recipe) == ("lite-medsam", {})


def test_a_lesion_is_shown_in_training_as_in_reading() -> None:
    recipe = _recipe({"settings": {"margin_mm": 2.0}})
    (view,) = prepare(recipe, drawn_cases(1), drawn_cases(1), None, CPU)._validation
    rows, columns = np.nonzero(view.drawn.numpy() >= 0.5)
    left, top, right, bottom = view.box.tolist()
    assert left < columns.min() < columns.max() < right
    assert top < rows.min() < rows.max() < bottom
    # 2 mm on each side of a box of 15 mm, in which the disc has 13.
    assert (columns.max() + 1 - columns.min()) / (right - left) == pytest.approx(13 / 19, abs=0.03)


@pytest.mark.parametrize("which", range(8))
def test_a_rotated_image_has_its_mask_rotated_as_well(which: int) -> None:
    pixels = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    mask = Mask(Box(1, 2, 4, 7), pixels[1:4, 2:7] > 0.5)
    image, (turned,) = _turned(Mammogram(pixels, spacing_mm=(0.1, 0.2)), [mask], which)
    assert sorted(image.pixels[turned.full(image.shape)]) == sorted(pixels[mask.full((6, 9))])
    assert image.spacing_mm == ((0.2, 0.1) if which & 4 else (0.1, 0.2))


def test_the_most_uncertain_points_are_sampled_most() -> None:
    torch.manual_seed(0)
    logits = torch.full((1, 64, 64), 9.0)
    logits[:, :, 22:42] = 0.0
    chosen, truth = uncertain_points(logits, (logits > 5).float(), points=400)
    assert chosen.shape == truth.shape == (1, 400)
    assert (chosen.abs() < 5).float().mean() > 0.7  # a third of the picture


def test_the_loss_of_a_perfect_mask_is_zero_and_of_an_empty_mask_is_maximal() -> None:
    drawn = torch.zeros(1, 8, 8)
    drawn[:, 2:6, 2:6] = 1
    dice, entropy = dice_and_cross_entropy((drawn * 2 - 1) * 50, drawn)
    assert dice.item() == pytest.approx(0, abs=1e-4)
    assert entropy.item() == pytest.approx(0, abs=1e-4)
    dice, _ = dice_and_cross_entropy(torch.full_like(drawn, -50), drawn)
    assert dice.item() > 0.9


def test_training_on_boxes_alone_is_refused() -> None:
    boxes = [drawn_case(0, Pathology.BENIGN, outlined=False)]
    with pytest.raises(DatasetError, match="No lesion of a training image is outlined"):
        prepare(_recipe(), boxes, drawn_cases(1), None, CPU)


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    save_file({"head.weight": torch.zeros(2, 2)}, wrong)
    with pytest.raises(StartError, match=r"wrong\.safetensors does not fit lite-medsam"):
        prepare(_recipe(), drawn_cases(1), drawn_cases(1), wrong, CPU)
    with pytest.raises(StartError, match="names an unknown network"):
        prepare(_recipe({"settings": {"margin": 1}}), drawn_cases(1), drawn_cases(1), None, CPU)


def test_the_shipped_segmenter_recipes_can_be_read() -> None:
    kinds = {name: find_recipe(name).read_text() for name in shipped_recipes()}
    segmenters = [name for name, text in kinds.items() if 'kind = "segmenter"' in text]
    assert segmenters
    for name in segmenters:
        model = recipe_of("segmenter", name).model
        # Without memory, except TinyViT, which reads its values while it is built.
        with torch.device("cpu" if "tiny" in model.architecture else "meta"):
            network, _ = untrained(model.architecture, model.settings)
        assert network.parts()


def test_the_recipes_for_table_3_differ_as_the_table_states() -> None:
    def branches(name: str) -> dict[str, Any]:
        recipe = recipe_of("segmenter", name)
        assert (recipe.task.token_only, recipe.task.trained) == (True, ("additions",))
        return dict(recipe.model.settings)

    assert recipe_of("segmenter", "mlsam-unfused").fit == recipe_of("segmenter", "hq-sam-vit-l").fit
    assert branches("hq-sam-vit-l") == branches("mlsam-vit-l") == {}
    assert branches("mlsam-unfused") == {"global_fusion": False}
    assert branches("mlsam-final") == {"early": False, "middle": False}
    none = {"early": False, "middle": False, "final": False}
    assert branches("mlsam-decoder-fused") == none
    assert branches("mlsam-decoder") == {**none, "global_fusion": False}
