"""Layers that a CPU computes in one pass give what the layers give that they are made of."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from models.detectors.grain_net import GrainNet
from models.fused import Activation, FusedConv, FusedLinear, can_fuse
from models.prepared import fold_norms
from models.segmenters.lite_medsam import LiteMedSamNet
from models.segmenters.network import PromptedNet
from models.segmenters.tiny_vit import WithoutPadding

ACTIVATIONS: dict[Activation, nn.Module] = {
    "none": nn.Identity(),
    "relu": nn.ReLU(),
    "gelu": nn.GELU(),
}
ROUNDING = {"atol": 1e-5, "rtol": 1e-4}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def settled(network: nn.Module) -> nn.Module:
    """The network as if it had learned something: its batch normalisations change what they see."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(3, 8, 1, bias=False),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False),
        nn.Conv2d(4, 6, (3, 5), padding=(1, 2), dilation=(1, 1)),
    ],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_fused_convolution_is_the_convolution_and_its_activation(
    activation: Activation, conv: nn.Conv2d, memory_format: torch.memory_format
) -> None:
    layers = settled(nn.Sequential(conv, ACTIVATIONS[activation]))
    features = torch.randn(2, conv.in_channels, 17, 12).contiguous(memory_format=memory_format)
    fused = FusedConv(conv, activation)
    with torch.inference_mode():
        torch.testing.assert_close(fused(features), layers(features), **ROUNDING)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_fused_linear_layer_is_the_layer_and_its_activation(activation: Activation) -> None:
    linear = nn.Linear(12, 7).requires_grad_(False)
    features = torch.randn(2, 5, 12)
    with torch.inference_mode():
        torch.testing.assert_close(
            FusedLinear(linear, activation)(features), ACTIVATIONS[activation](linear(features)), **ROUNDING
        )


def test_the_grain_detector_marks_the_same_when_it_is_fused() -> None:
    grains = settled(GrainNet((4, 6, 8)))
    assert isinstance(grains, GrainNet)
    tile = torch.rand(1, 2, 64, 64)
    with torch.inference_mode():
        marks = grains(tile)
        fold_norms(grains)
        grains.fuse()
        torch.testing.assert_close(grains(tile), marks, **ROUNDING)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in grains.modules())


@pytest.mark.parametrize(("rows", "columns"), [(30, 30), (30, 11), (11, 30), (30, 1), (7, 26), (26, 27), (0, 0)])
def test_zeros_below_and_beside_a_picture_are_not_calculated_and_the_features_are_the_same(
    rows: int, columns: int
) -> None:
    layers = settled(
        nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.GELU(), nn.Conv2d(4, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 5, 3, padding=1)
        )
    )
    pictures = torch.zeros(2, 3, 30, 30)
    pictures[:, :, :rows, :columns] = torch.rand(2, 3, rows, columns)
    with torch.inference_mode():
        torch.testing.assert_close(WithoutPadding(layers, reach=2)(pictures), layers(pictures), **ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [256, 150])
def test_a_fused_encoder_embeds_the_same_and_the_masks_are_the_same(columns: int) -> None:
    """At most one pixel in 10,000 of the network's mask differs."""
    plain = settled(LiteMedSamNet())
    assert isinstance(plain, PromptedNet)
    fused = copy.deepcopy(plain)
    fused.fold()
    fused.fuse()
    pictures = torch.rand(1, 1, 256, 256).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
    pictures = pictures * (torch.arange(256) < columns)
    with torch.inference_mode():
        [before], [after] = plain.embed(pictures), fused.embed(pictures)
        torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-3)
        assert differing(mask(plain, before), mask(fused, after)) <= 1e-4


def mask(net: PromptedNet, embedded: Tensor) -> Tensor:
    return net.decode((embedded,), torch.tensor([0]), boxes=torch.tensor([[66.0, 90.0, 114.0, 150.0]])) > 0


def differing(some: Tensor, others: Tensor) -> float:
    return float((some != others).float().mean())


def test_fused_layers_are_for_a_cpu_alone() -> None:
    assert not can_fuse(torch.device("cuda"))
    assert can_fuse(torch.device("cpu")) == torch.backends.mkldnn.is_available()
