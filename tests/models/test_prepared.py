"""Weights prepared for reading give what the networks give as they were trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sam_networks import seeded, small
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.classifiers.efficient_net import MalignancyNet
from models.classifiers.efficient_net import load as load_classifier
from models.detectors.grain_net import GrainNet
from models.detectors.grains import load as load_grains
from models.detectors.yolov8 import build
from models.detectors.yolov8 import load as load_yolo
from models.prepared import fold_norms
from models.runner import Runner
from models.segmenters.lite_medsam import LiteMedSamNet
from models.segmenters.network import PromptedNet
from models.segmenters.vit import fold_positions

CPU = torch.device("cpu")
AS_A_GPU = Runner(CPU, mixed_precision=True, together=True)
Forward = Callable[[Any, Tensor], Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def yolo(network: Any, pictures: Tensor) -> Tensor:
    outputs: Tensor = network(pictures.expand(-1, 3, -1, -1))[0]
    return outputs


def scores(network: MalignancyNet, pictures: Tensor) -> Tensor:
    return network.score_images(pictures[:, 0])


def marks(network: GrainNet, pictures: Tensor) -> Tensor:
    return network(pictures.expand(-1, 2, -1, -1))


def embedding(network: PromptedNet, pictures: Tensor) -> Tensor:
    embedded = network.embed(pictures.expand(-1, 3, -1, -1))
    return torch.cat([tensor.flatten(1) for tensor in embedded], dim=1)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, Forward]] = {
    "yolov8, CBAM": (lambda: build("n", "cbam"), 64, yolo),
    "yolov8, ECA, a finer head": (lambda: build("n", "eca", finest=4), 64, yolo),
    "grains": (lambda: GrainNet((4, 6, 8)), 64, marks),
    "efficientnet": (lambda: MalignancyNet("both", "test_efficientnet"), 64, scores),
    "efficientnet_lite0": (lambda: MalignancyNet("whole", "efficientnet_lite0"), 64, scores),
    "lite-medsam": (LiteMedSamNet, 256, embedding),
    "hq-sam, tiny": (lambda: small("tiny"), 256, embedding),
}
SLOW = ("lite-medsam",)


def marked(name: str, *values: Any) -> Any:
    return pytest.param(*values, id=name, marks=pytest.mark.slow if name in SLOW else ())


def fold(network: nn.Module) -> None:
    network.fold() if isinstance(network, PromptedNet) else fold_norms(network)


@pytest.mark.parametrize(("make", "side", "forward"), [marked(name, *values) for name, values in NETWORKS.items()])
def test_a_folded_network_computes_the_same(make: Callable[[], nn.Module], side: int, forward: Forward) -> None:
    """In float64, so that another computation is told from rounding."""
    network = seeded(make()).double().requires_grad_(False)
    folded = copy.deepcopy(network)
    fold(folded)
    assert not [layer for layer in folded.modules() if isinstance(layer, nn.BatchNorm2d)]
    pictures = torch.rand(2, 1, side, side, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(forward(folded, pictures), forward(network, pictures), rtol=1e-9, atol=1e-9)


class CastWeights(TorchDispatchMode):
    """Counts the casts of a network's own tensors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func.overloadpacket is torch.ops.aten._to_copy:
            self.count += args[0].untyped_storage().data_ptr() in self._own
        return found


def test_weights_kept_in_half_precision_give_what_autocast_gives_and_none_is_cast_when_it_reads() -> None:
    as_trained = {
        "yolov8": seeded(build("n", "cbam")),
        "grains": seeded(GrainNet()),
        "efficientnet": seeded(MalignancyNet("both", "test_efficientnet")),
    }
    pictures = torch.rand(2, 1, 64, 64)
    kept: dict[str, Any] = {
        "yolov8": load_yolo(as_trained["yolov8"].state_dict(), AS_A_GPU, scale="n", input_px=64),
        "grains": load_grains(as_trained["grains"].state_dict(), AS_A_GPU),
        "efficientnet": load_classifier(
            as_trained["efficientnet"].state_dict(), AS_A_GPU, mode="both", backbone="test_efficientnet"
        ),
    }
    for name, forward in {"yolov8": yolo, "grains": marks, "efficientnet": scores}.items():
        before, after = as_trained[name], kept[name]._network
        AS_A_GPU.place(before)
        fold(before)
        assert_half(lambda net, forward=forward: forward(net, pictures), before, after)  # type: ignore[misc]


@pytest.mark.parametrize("kind", [marked(name, name) for name in ("lite-medsam", "sam", "hq", "tiny", "mlsam")])
def test_an_encoder_kept_in_half_precision_embeds_the_same(kind: str) -> None:
    before = seeded(LiteMedSamNet() if kind == "lite-medsam" else small(kind)).requires_grad_(False)
    before.fold()
    after = copy.deepcopy(before)
    after.keep_half(torch.bfloat16)
    pictures = torch.rand(1, 1, 256, 256)
    assert_half(lambda net: embedding(net, pictures), before, after)


def assert_half(run: Callable[[Any], Tensor], before: nn.Module, after: nn.Module) -> None:
    with torch.no_grad(), AS_A_GPU.in_half():
        with CastWeights(before) as anew:
            wanted = run(before)
        run(after)  # what is calculated once
        with CastWeights(after) as kept:
            found = run(after)
    assert torch.equal(found, wanted)
    assert anew.count > 2
    assert kept.count == 0


def test_an_encoder_s_positions_are_folded_with_its_normalisations() -> None:
    net = seeded(small("sam"))
    folded = copy.deepcopy(net)
    fold_positions(folded.image_encoder)
    net.fold()
    pictures = torch.rand(1, 1, 256, 256)
    with torch.inference_mode():
        assert torch.equal(embedding(net, pictures), embedding(folded, pictures))
