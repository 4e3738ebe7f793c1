"""CBAM, the attention that Chen, Liu and Wang set behind two early stages of YOLOv8 (Yolo-MLSAM, section 3.1)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

_REDUCTION = 16
_WINDOW = 7


class CBAM(nn.Module):
    """Weights channels, then places (equations 4–11).

    Channels: one two-layer perceptron, shared by the average and the maximum over all places, summed, sigmoid.
    Places: a 7 × 7 convolution over the average and the maximum over all channels, sigmoid. It begins by weighting
    everything alike (about 0.9), so that a network trained without it keeps what it knows.

    Args:
        channels: of the features, batch × channels × rows × columns, whose shape is kept.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // _REDUCTION)
        widen = nn.Conv2d(hidden, channels, 1)
        self.shared = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), widen)
        self.places = nn.Conv2d(2, 1, _WINDOW, padding=_WINDOW // 2)
        for layer, bias in ((widen, 1.0), (self.places, 2.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(cast(nn.Parameter, layer.bias), bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        average = self.shared(features.mean(dim=(2, 3), keepdim=True))
        highest = self.shared(features.amax(dim=(2, 3), keepdim=True))
        features = features * torch.sigmoid(average + highest)
        flat = torch.cat((features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)), dim=1)
        return features * torch.sigmoid(self.places(flat))
