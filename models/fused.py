"""Layers that a CPU computes in one pass over memory: a convolution or linear layer with its activation, by oneDNN.

They give what the layers give that they are made of, up to rounding, and cannot be trained. The operators are those
that torch's compiler emits for CPUs (torch/_inductor/fx_passes/mkldnn_fusion.py); here they need no compiler and no
time to compile.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["none", "relu", "gelu"]


def can_fuse(device: torch.device) -> bool:
    """Whether these layers work there: on a CPU for which torch was built with oneDNN."""
    return device.type == "cpu" and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


class FusedConv(nn.Module):
    """A convolution with the activation behind it; float32 on a CPU, not for training."""

    def __init__(self, conv: nn.Conv2d, activation: Activation) -> None:
        super().__init__()
        self.conv = conv
        self._activation = activation

    def forward(self, features: Tensor) -> Tensor:
        conv = self.conv
        computed: Tensor = torch.ops.mkldnn._convolution_pointwise(
            features,
            conv.weight,
            conv.bias,
            conv.padding,
            conv.stride,
            conv.dilation,
            conv.groups,
            self._activation,
            [],
            _formula(self._activation),
        )
        return computed


class FusedLinear(nn.Module):
    """A linear layer with the activation behind it; float32 on a CPU, not for training."""

    def __init__(self, linear: nn.Linear, activation: Activation) -> None:
        super().__init__()
        self.linear = linear
        self._activation = activation

    def forward(self, features: Tensor) -> Tensor:
        computed: Tensor = torch.ops.mkldnn._linear_pointwise(
            features, self.linear.weight, self.linear.bias, self._activation, [], _formula(self._activation)
        )
        return computed


def _formula(activation: Activation) -> str:
    """GELU as it is defined (with erf) and not its approximation; the others have one formula."""
    return "none" if activation == "gelu" else ""
