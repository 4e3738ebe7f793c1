"""A perceptron on MedSAM changes only what its recipe tunes, and scores in the node as in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_cases import drawn_cases
from safetensors.torch import save_file

from models.checkpoints.reading import StartError
from models.classifiers.medsam_mlp import MedSamMlp, MedSamMlpClassifier, Reads, Tuned, load
from models.protocols import ToScore
from models.runner import Runner
from models.segmenters.pictures import MedSamPicture
from models.segmenters.sam import SamNet
from models.segmenters.vit import Vit
from models.training.classifier.medsam_mlp import MedSamMlpTask, start_from
from models.training.classifier.recipe import TaskSettings
from models.training.fit import fit
from models.training.recipe import FitRecipe

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
ONCE = FitRecipe(epochs=1, learning_rate=1e-2, optimizer="adam")
SIDE = 64


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _network(reads: Reads, tuned: Tuned = "frozen") -> MedSamMlp:
    torch.manual_seed(0)
    return MedSamMlp(SamNet(Vit(32, 2, 2, (1,)), MedSamPicture(SIDE)), reads, tuned)


def _task(network: MedSamMlp, **settings: Any) -> MedSamMlpTask:
    chosen = TaskSettings.model_validate({"batch": 2, **settings})
    return MedSamMlpTask(network, chosen, drawn_cases(4), drawn_cases(4, 100), CPU, 1)


@pytest.mark.parametrize("augmentation", ["none", "turn-and-flip"])
@pytest.mark.parametrize(
    ("tuned", "reads", "learns"),
    [
        ("frozen", "embedding", {"mlp"}),
        ("frozen", "tokens", {"mlp"}),
        ("decoder", "tokens", {"mlp", "sam.mask_decoder"}),
        ("decoder", "upscaled", {"mlp", "sam.mask_decoder"}),
        ("all", "embedding", {"mlp", "sam.image_encoder"}),
        ("all", "tokens", {"mlp", "sam.image_encoder", "sam.mask_decoder"}),
    ],
)
def test_only_the_tuned_parameters_change(
    tuned: Tuned, reads: Reads, learns: set[str], augmentation: str, tmp_path: Path
) -> None:
    task = _task(_network(reads, tuned), augmentation=augmentation)
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    after = fit(task, ONCE, tmp_path, CPU, lambda *_: None).state_dict()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert {
        name.partition(".")[0] if name.startswith("mlp") else ".".join(name.split(".")[:2]) for name in changed
    } == learns


@pytest.mark.parametrize(
    ("tuned", "reads", "kept"),
    [("frozen", "tokens", (5 * 256,)), ("decoder", "tokens", (256, 4, 4)), ("all", "tokens", (SIDE, SIDE))],
)
def test_cached_features_of_an_image_give_the_score_of_the_node(
    tuned: Tuned, reads: Reads, kept: tuple[int, ...]
) -> None:
    task = _task(_network(reads, tuned))
    assert task.train[1].kept.shape == kept
    network: Any = task.network.eval()
    image = drawn_cases(2)[1].read()
    with torch.no_grad():
        held = torch.from_numpy(task.train[1].kept[None].astype(np.float32))
        score = torch.softmax(network.score(task._read(network, held, task._judge_from)), dim=1)[0, 1].item()
    (lesion,) = drawn_cases(2)[1].read_lesions(image)
    [(whole, lesions)] = MedSamMlpClassifier(network, Runner(CPU)).classify([ToScore(image, [lesion.mask])])
    assert whole == pytest.approx(score, abs=2e-3)
    assert lesions == [whole]


def test_an_epoch_is_repeated_with_the_same_pictures_and_the_next_epoch_has_others() -> None:
    task = _task(_network("embedding"), augmentation="turn-and-flip")
    first, again, other = (next(task.batches(epoch))[0] for epoch in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_validation_gives_the_area_under_the_curve() -> None:
    task = _task(_network("embedding"))
    with torch.no_grad():
        assert 0 <= task.validate(task.network.eval())["auc"] <= 1


def test_training_starts_from_a_segmenter_or_from_a_whole_classifier(tmp_path: Path) -> None:
    from_segmenter, from_whole, made = _network("tokens"), _network("tokens"), _network("tokens")
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1)
    save_file(made.sam.state_dict(), tmp_path / "sam.safetensors")
    save_file(made.state_dict(), tmp_path / "whole.safetensors")
    start_from(from_segmenter, tmp_path / "sam.safetensors")
    start_from(from_whole, tmp_path / "whole.safetensors")
    for network, perceptron in ((from_segmenter, False), (from_whole, True)):
        assert torch.equal(network.sam.mask_decoder.iou_token.weight, made.sam.mask_decoder.iou_token.weight)
        assert torch.equal(network.mlp[0].weight, made.mlp[0].weight) == perceptron
    save_file({"other": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(StartError, match=r"other\.safetensors does not fit"):
        start_from(made, tmp_path / "other.safetensors")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="'vit-x' is none of"):
        load({}, Runner(CPU), encoder="vit-x")
    with pytest.raises(RuntimeError, match="Missing key"):
        load({}, Runner(CPU), encoder="lite-medsam", reads="tokens")
