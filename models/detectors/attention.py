"""The three attention modules that Chen, Liu and Wang compare after early stages of YOLOv8 (Yolo-MLSAM, section 3.1).

Each multiplies features (batch × channels × rows × columns) by weights in 0..1 and keeps their shape. Each is
initialised to the same weight everywhere (SE σ(2) ≈ 0.88; CBAM, which weights twice, σ(2)² ≈ 0.78; ECA, which has no
bias, 1/2), so that weights trained without it remain useful.
"""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import nn

Attention = Literal["none", "cbam", "se", "eca"]

_REDUCTION = 16
"""Channels per hidden unit in CBAM and SE; the published value."""
_WINDOW = 7
"""Kernel size of CBAM's spatial attention; the published value."""
_GAMMA, _B = 2, 1
"""ECA's parameters γ and b, which give its kernel size from the number of channels; the published values."""


class CBAM(nn.Module):
    """Channel attention, then spatial attention (Yolo-MLSAM, equations 4–11; Woo et al. 2018, doi
    10.1007/978-3-030-01234-2_1).

    Channels: one two-layer perceptron, shared by the average and the maximum over all positions, summed, sigmoid.
    Positions: a 7 × 7 convolution over the average and the maximum over all channels, sigmoid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shared = _perceptron(channels, bias=1.0)
        self.places = _even(nn.Conv2d(2, 1, _WINDOW, padding=_WINDOW // 2), bias=2.0)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        average = self.shared(features.mean(dim=(2, 3), keepdim=True))
        highest = self.shared(features.amax(dim=(2, 3), keepdim=True))
        features = features * torch.sigmoid(average + highest)
        flat = torch.cat((features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)), dim=1)
        return features * torch.sigmoid(self.places(flat))


class SE(nn.Module):
    """Squeeze and excitation: weights channels by a two-layer perceptron of their averages over all positions.

    Hu, Shen and Sun 2018, doi 10.1109/CVPR.2018.00745, equations 2–4; reduction 16.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.excite = _perceptron(channels, bias=2.0)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        weights: torch.Tensor = torch.sigmoid(self.excite(features.mean(dim=(2, 3), keepdim=True)))
        return features * weights


class ECA(nn.Module):
    """Efficient channel attention: weights a channel by the averages of itself and its neighbours over all positions.

    Wang et al. 2020, doi 10.1109/CVPR42600.2020.01155, equations 5, 9 and 12: one convolution along the channels,
    without bias, its kernel size k = |log2(channels) / 2 + 1/2| made odd (`eca_window`).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        window = eca_window(channels)
        self.neighbours = nn.Conv1d(1, 1, window, padding=window // 2, bias=False)
        nn.init.zeros_(self.neighbours.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        averages = features.mean(dim=(2, 3))[:, None]
        return features * torch.sigmoid(self.neighbours(averages)).transpose(1, 2)[..., None]


def eca_window(channels: int) -> int:
    """ECA's kernel size, the odd number of neighbouring channels: 3 for 64 channels, 5 for 128 to 1,024.

    Made odd as in the authors' own code: truncated to an integer, plus one if that is even.
    """
    whole = int(abs(math.log2(channels) / _GAMMA + _B / _GAMMA))
    return whole if whole % 2 else whole + 1


def make_attention(kind: Attention, channels: int) -> nn.Module | None:
    """The attention module of this name; None for "none"."""
    match kind:
        case "none":
            return None
        case "cbam":
            return CBAM(channels)
        case "se":
            return SE(channels)
        case "eca":
            return ECA(channels)


def _perceptron(channels: int, bias: float) -> nn.Sequential:
    """Two layers over channels, written as 1 × 1 convolutions."""
    hidden = max(1, channels // _REDUCTION)
    return nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), _even(nn.Conv2d(hidden, channels, 1), bias))


def _even(layer: nn.Conv2d, bias: float) -> nn.Conv2d:
    """The layer, initialised so that its output is `bias` for every input."""
    nn.init.zeros_(layer.weight)
    nn.init.constant_(cast(nn.Parameter, layer.bias), bias)
    return layer
