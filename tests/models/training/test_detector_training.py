"""The detector's training: its data, its validation, and that the trained weights load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints.reading import StartError
from models.datasets.case import Case, DatasetError, Lesion
from models.detectors import yolov8
from models.framing import breast_framing
from models.runner import Runner
from models.training.augment import Picture, mosaic, moved
from models.training.detector.framed import framed
from models.training.detector.largest_lesion import largest_lesion
from models.training.detector.planting import planted
from models.training.detector.task import Detecting, Model, TaskSettings, part, prepare
from models.training.recipe import CalibrationRecipe, FitRecipe, Recipe, RecipeError, SplitRecipe, read_recipe
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box, Mask

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def test_the_size_of_the_largest_lesion_is_stored_as_a_share_of_its_breast() -> None:
    breast = np.pi * 75 * 85 / 2  # half an ellipse, in pixels
    share = largest_lesion([_case(1, radius=9), _case(2, radius=14), _case(3, radius=20, marked_up=False)])
    assert share == pytest.approx(np.pi * 14**2 / breast, rel=0.1)
    assert largest_lesion([_case(1, lesion=None)]) is None


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _case(number: int, lesion: FindingKind | None = FindingKind.MASS, marked_up: bool = True, radius: int = 9) -> Case:
    """A breast of 160 × 100 pixels with a bright round lesion, at a position that depends on `number`."""
    rows, columns = 160, 100
    y, x = np.mgrid[:rows, :columns]
    pixels = np.where(((y - 80) / 75) ** 2 + (x / 85) ** 2 < 1, 0.35, 0.0).astype(np.float32)
    grain = np.random.default_rng(number).random((rows, columns), dtype=np.float32)
    pixels += 0.1 * grain * (pixels > 0)
    row, column = 40 + 17 * (number % 5), radius + 4 + 11 * (number % 4)
    drawn = np.zeros((rows, columns), dtype=np.uint8)
    cv2.circle(drawn, (column, row), radius, 1, cv2.FILLED)
    lesions: tuple[Lesion, ...] = ()
    if lesion is not None:
        pixels[drawn == 1] = 1.0
        box = Box(row - radius, column - radius, row + radius + 1, column + radius + 1)
        lesions = (Lesion(Mask(box, drawn[box.slices] == 1), outlined=True, kind=lesion),)
    return Case(
        name=f"image {number}",
        dataset="drawn",
        patients=(f"patient {number}",),
        exam=None,
        laterality=None,
        view=None,
        pathology=None,
        birads=None,
        density=None,
        marked_up=marked_up,
        label_is_fair=True,
        official=None,
        read=lambda: Mammogram(pixels),
        read_lesions=lambda _: lesions,
    )


def _recipe(model: dict[str, Any] | None = None, task: dict[str, Any] | None = None, **fit: Any) -> Recipe:
    return Recipe(
        name="small",
        kind="detector",
        split=SplitRecipe(),
        fit=FitRecipe(**{"epochs": 10, "learning_rate": 0.01, **fit}),
        model=Model(**{"scale": "n", "attention": "none", "input_px": 96, **(model or {})}),
        task=TaskSettings(**{"batch": 2, **(task or {})}),
        calibration=CalibrationRecipe(),
    )


def _task(recipe: Recipe, train: int = 4, start: Path | None = None) -> Detecting:
    kinds = (FindingKind.MASS, FindingKind.CALCIFICATION)
    cases = [_case(number, kinds[number % 2]) for number in range(train + 2)]
    return prepare(recipe, cases[:train], cases[train:], start, CPU)


@pytest.mark.parametrize("box_loss", ["ciou", "eq3"])
def test_training_learns_to_detect_the_training_lesions(box_loss: str) -> None:
    cases = [_case(0, FindingKind.MASS, radius=24), _case(3, FindingKind.CALCIFICATION, radius=24)]
    task = prepare(_recipe(task={"mosaic": 0.0, "augment": 0.0, "box_loss": box_loss}), cases, cases, None, CPU)
    for module in task.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.3  # the running statistics must converge within a few dozen steps
    steps = torch.optim.AdamW(task.parameter_groups(), 3e-3)
    for epoch in range(36):
        for batch in task.batches(epoch):
            loss, terms = task.loss(task.network.train(), batch)
            steps.zero_grad()
            loss.backward()
            steps.step()
    assert terms.keys() == {"box", "classes", "focal"}
    assert sum(terms.values()) == pytest.approx(loss.item(), rel=1e-4)
    assert task.validate(task.network)["froc"] == 1


def test_a_summed_loss_is_the_mean_loss_times_the_batch_size() -> None:
    mean, whole = (_task(_recipe(task={"summed": summed})) for summed in (False, True))
    (mean_loss, _), (sum_loss, _) = (task.loss(task.network, next(task.batches(0))) for task in (mean, whole))
    assert sum_loss.item() == pytest.approx(2 * mean_loss.item(), rel=1e-5)


def test_batches_depend_only_on_seed_and_epoch() -> None:
    def pixels(epoch: int, seed: int) -> torch.Tensor:
        return torch.cat([images for images, _ in _task(_recipe(seed=seed), train=5).batches(epoch)])

    first = pixels(0, 1)
    assert len(first) == 5
    torch.set_num_threads(3)  # images are augmented in this number of threads
    again = pixels(0, 1)
    torch.set_num_threads(1)
    assert torch.equal(first, again)
    assert not torch.equal(first, pixels(1, 1))
    assert not torch.equal(first, pixels(0, 2))


def test_an_epoch_has_the_stated_number_of_steps() -> None:
    for count in (1, 4, 5):
        task = _task(_recipe(), train=count)
        assert len(list(task.batches(0))) == task.steps() == -(-count // 2)


def test_the_targets_lie_on_the_lesions_of_the_augmented_images() -> None:
    task = _task(_recipe(task={"mosaic": 0.5, "augment": 0.3}), train=6)
    for images, targets in task.batches(0):
        for number, box in zip(targets["batch_idx"].int().tolist(), targets["bboxes"] * 96, strict=True):
            left, top = (box[:2] - box[2:] / 4).round().int().tolist()
            right, bottom = (box[:2] + box[2:] / 4).round().int().tolist()
            assert images[number, top : bottom + 1, left : right + 1].mean() > 2 * images[number].mean()


def test_the_last_epochs_are_trained_without_mosaics() -> None:
    task = _task(_recipe(task={"mosaic": 1.0, "augment": 0.0, "batch": 4}))
    as_read = {float(kept.levels.astype(np.float64).sum()) for kept in task._pictures}

    def are_as_read(epoch: int) -> bool:
        ((images, _),) = task.batches(epoch)
        return {round(float(image.double().sum() * 255)) for image in images} == as_read

    assert [are_as_read(epoch) for epoch in (0, 7, 8, 9)] == [False, False, True, True]


def test_images_without_lesions_are_sampled_in_proportion_and_anew_for_each_epoch() -> None:
    cases = [_case(0), _case(1), *(_case(number, lesion=None) for number in range(2, 12))]
    task = prepare(_recipe(task={"unmarked": 1.5, "mosaic": 0.0, "augment": 0.0}), cases, cases, None, CPU)
    sums = []
    for epoch in range(2):
        images = torch.cat([images for images, _ in task.batches(epoch)])
        assert len(images) == 5
        sums.append({round(float(image.double().sum()), 3) for image in images})
    assert sums[0] != sums[1]


def test_images_whose_lesions_are_not_all_drawn_are_not_used() -> None:
    def never() -> Mammogram:
        raise AssertionError("read")

    unmarked = replace(_case(5, marked_up=False), read=never)
    task = prepare(_recipe(), [_case(0), unmarked], [_case(1), unmarked], None, CPU)
    assert len(next(task.batches(0))[0]) == 1


@pytest.mark.parametrize(
    ("train", "validation", "named"), [(None, FindingKind.MASS, "training"), (FindingKind.MASS, None, "validation")]
)
def test_training_without_any_lesion_is_refused(train: Any, validation: Any, named: str) -> None:
    with pytest.raises(DatasetError, match=f"No {named} image has a lesion"):
        prepare(_recipe(), [_case(0, train)], [_case(1, validation)], None, CPU)


def test_the_refusal_says_how_many_images_were_skipped() -> None:
    unmarked = [_case(number, marked_up=False) for number in (1, 2)]
    with pytest.raises(DatasetError, match=r"No training image .* Of 3 images 2 were skipped because not all their"):
        prepare(_recipe(), [_case(0, None), *unmarked], [_case(3)], None, CPU)


def test_validation_gives_the_froc_score_and_does_not_change_the_network() -> None:
    task = _task(_recipe())
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    task.network.train()
    figures = task.validate(task.network)
    assert 0 <= figures[task.figure] <= 1
    assert task.network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in task.network.state_dict().items())


def test_trained_weights_load_with_the_settings_of_their_part_and_detect() -> None:
    recipe = _recipe({"attention": "eca", "attended": (2, 6)}, {"confidence": 0.3, "most": 4, "mirrored": True})
    architecture, settings = part(_task(recipe).network, recipe)
    assert architecture == "yolov8"
    assert settings["confidence"] == 0.3
    detector = yolov8.load(_task(recipe).network.state_dict(), Runner(CPU), **settings)
    assert len(detector.detect([_case(0).read()])) == 1


@pytest.mark.parametrize("allowed", [0.0, 1.0])
def test_the_operating_point_stays_within_the_allowed_false_positives(allowed: float) -> None:
    recipe = _recipe(task={"false_positives": allowed})
    task = _task(recipe)
    assert _task(_recipe()).chosen(task.network) == {}
    settings = part(task.network, recipe)[1] | task.chosen(task.network)
    detector = yolov8.load(task.network.state_dict(), Runner(CPU), **settings)
    cases = [_case(4), _case(5)]
    found = detector.detect_framed([image.shown for image in framed(cases, breast_framing(96, None), 1)])
    assert sum(map(len, found)) <= allowed * len(cases) + len(cases)  # at most one true positive per image
    assert 0 < settings["confidence"] < 1


@pytest.mark.parametrize("keep_classes", [True, False])
def test_start_weights_are_loaded_with_or_without_the_classification_layers(tmp_path: Path, keep_classes: bool) -> None:
    torch.manual_seed(7)
    start = {name: tensor + 0.5 for name, tensor in yolov8.build("n", "none").state_dict().items()}
    save_file(start, tmp_path / "start.safetensors")
    recipe = _recipe(task={"keep_classes": keep_classes})
    taken = _task(recipe, start=tmp_path / "start.safetensors").network.state_dict()
    assert torch.equal(taken["model.0.conv.weight"], start["model.0.conv.weight"])
    assert torch.equal(taken["model.22.cv2.0.2.bias"], start["model.22.cv2.0.2.bias"])
    assert torch.equal(taken["model.22.cv3.0.2.bias"], start["model.22.cv3.0.2.bias"]) is keep_classes


@pytest.mark.parametrize("attention", ["none", "cbam"])
def test_start_weights_of_another_scale_are_refused_and_those_without_attention_are_loaded(
    tmp_path: Path, attention: str
) -> None:
    recipe = _recipe(model={"attention": attention})
    save_file(yolov8.build("s", "none").state_dict(), tmp_path / "wide.safetensors")
    with pytest.raises(StartError, match=r"wide\.safetensors holds \d% of this network's numbers"):
        _task(recipe, start=tmp_path / "wide.safetensors")
    start = yolov8.build("n", "none").state_dict()
    save_file(start, tmp_path / "start.safetensors")
    taken = _task(recipe, start=tmp_path / "start.safetensors").network.state_dict()
    assert all(torch.equal(taken[name], tensor) for name, tensor in start.items())


def test_norms_and_biases_have_no_weight_decay_and_every_weight_is_optimised_once() -> None:
    task = _task(_recipe({"attention": "cbam"}))
    kernels, others = task.parameter_groups()
    assert others["weight_decay"] == 0.0
    assert "weight_decay" not in kernels
    trained = [id(parameter) for parameter in task.network.parameters() if parameter.requires_grad]
    assert sorted(trained) == sorted(map(id, (*kernels["params"], *others["params"])))


@pytest.mark.parametrize("name", ["detector", "detector-masses", "yolo-mlsam-detector"])
def test_the_shipped_detector_recipes_can_be_read(name: str) -> None:
    assert read_recipe(name, "detector", Model, TaskSettings).model.attention == "cbam"


def test_the_papers_recipe_has_the_papers_settings() -> None:
    recipe = read_recipe("yolo-mlsam-detector", "detector", Model, TaskSettings)
    assert (recipe.fit.epochs, recipe.fit.learning_rate, recipe.fit.schedule) == (150, 0.01, "cosine")
    assert (recipe.task.batch, recipe.task.confidence, recipe.task.mosaic) == (8, 0.2, 1.0)


@pytest.mark.parametrize("wrong", ["input_px = 100", 'scale = "z"', 'attention = "cbma"', "attended = [3]"])
def test_a_recipe_for_an_unknown_network_is_refused(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'kind = "detector"\n[fit]\nepochs = 1\nlearning_rate = 0.1\n[model]\n{wrong}\n')
    with pytest.raises(RecipeError, match=f"model.{wrong.split(' ')[0]}"):
        read_recipe(path, "detector", Model, TaskSettings)


def test_a_pasted_lesion_is_added_to_the_lesions_and_lies_in_the_breast() -> None:
    rows, columns = 96, 64
    down, across = np.mgrid[:rows, :columns]
    breast = np.where((down - 48) ** 2 / 45**2 + across**2 / 60**2 < 1, 0.4, 0.0).astype(np.float32)
    spot = breast.copy()
    spot[40:48, 20:28] = 0.9
    corners = np.array([[20, 40], [27, 40], [27, 47], [20, 47]], dtype=np.float32)
    donor = Picture(spot, (corners,), (1,))
    made = planted(Picture(breast, (), ()), donor, np.random.default_rng(3))
    assert made.kinds == (1,)
    ((left, top, right, bottom),) = made.boxes().astype(int).tolist()
    assert made.pixels[top:bottom, left:right].max() > 0.7
    assert breast[top:bottom, left:right].mean() > 0.35
    outside = made.pixels.copy()
    outside[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8] = 0.4
    assert outside.max() < 0.45


def test_an_image_without_room_for_a_lesion_is_unchanged() -> None:
    corners = np.array([[2, 2], [9, 2], [9, 9], [2, 9]], dtype=np.float32)
    donor = Picture(np.full((32, 32), 0.5, dtype=np.float32), (corners,), (0,))
    air = Picture(np.zeros((32, 32), dtype=np.float32), (), ())
    assert planted(air, donor, np.random.default_rng(0)) is air


def test_augmentation_of_an_oblong_frame_keeps_its_boxes_on_the_lesions() -> None:
    pixels = np.zeros((96, 64), dtype=np.float32)
    pixels[30:50, 20:40] = 1
    corners = np.array([[20, 30], [39, 30], [39, 49], [20, 49]], dtype=np.float32)
    picture = Picture(pixels, (corners,), (0,))
    draw = np.random.default_rng(0)
    for made in (moved(picture, draw), mosaic([picture] * 4, draw)):
        assert made.pixels.shape == (96, 64)
        for left, top, right, bottom in made.boxes().astype(int).tolist():
            assert made.pixels[(top + bottom) // 2, (left + right) // 2] > 0.5
