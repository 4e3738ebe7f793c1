"""A small fully convolutional network that marks grains of calcium, pixel by pixel, at native resolution.

An encoder and a decoder with skip connections (Ronneberger et al., U-Net, MICCAI 2015), three levels deep. What it
sees is made so that scanners look alike: the picture without its coarse structure, in units of how much detail (noise
and fine tissue) it usually has, and the picture itself.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.fused import FusedConv

STRIDE = 4
"""Rows and columns of the input are multiples of it."""
CONTEXT_PX = 32
"""A mark depends on no pixel that is further away."""
_COARSE_MM = 0.8
"""Structures wider than this are taken out of the first channel."""
_LEAST_DETAIL = 1 / 1000
_BRIGHTEST = 30.0
"""In units of the usual detail: brighter grains are no clearer."""
_SCALE = 6.0


class GrainNet(nn.Module):
    """Pictures (batch × 2 × rows × columns, see `channels_of`) in, logits of a grain (batch × rows × columns) out."""

    def __init__(self, channels: tuple[int, int, int] = (16, 32, 48)) -> None:
        super().__init__()
        fine, middle, coarse = channels
        self.fine = _block(2, fine)
        self.middle = _block(fine, middle)
        self.coarse = _block(middle, coarse)
        self.up_middle = _block(coarse + middle, middle)
        self.up_fine = _block(middle + fine, fine)
        self.head = nn.Conv2d(fine, 1, 1)
        nn.init.constant_(self.head.bias, -4.0)  # type: ignore[arg-type]  # few pixels are grains

    def forward(self, pictures: Tensor) -> Tensor:
        fine = self.fine(pictures)
        middle = self.middle(nn.functional.max_pool2d(fine, 2))
        coarse = self.coarse(nn.functional.max_pool2d(middle, 2))
        middle = self.up_middle(torch.cat((_doubled(coarse), middle), dim=1))
        fine = self.up_fine(torch.cat((_doubled(middle), fine), dim=1))
        logits: Tensor = self.head(fine)
        return logits[:, 0]

    def fuse(self) -> None:
        """Replaces its convolutions by those of `models.fused`: faster on a CPU, not for training. It must be in eval
        mode."""
        blocks: list[Any] = [self.fine, self.middle, self.coarse, self.up_middle, self.up_fine]
        for block in blocks:
            for place in range(0, len(block), 3):
                block[place] = FusedConv(block[place], block[place + 1], "relu")
                block[place + 1] = block[place + 2] = nn.Identity()


def channels_of(pixels: NDArray[np.float32], mm_per_px: float) -> NDArray[np.float32]:
    """What the network sees of a picture.

    Args:
        pixels: rows × columns, greys in 0..1; 0 is air.
        mm_per_px: of the picture.

    Returns:
        2 × rows × columns, float32: the detail in units of its own usual size, and the greys.
    """
    tissue = (pixels > 0).astype(np.float32)
    # Of the tissue alone: at the skin, air would make all of it stand out.
    coarse, share = (cv2.GaussianBlur(plane, (0, 0), _COARSE_MM / mm_per_px) for plane in (pixels, tissue))
    detail = (pixels - coarse / np.maximum(share, _LEAST_DETAIL)) * tissue
    inside = np.abs(detail[pixels > 0])
    usual = float(np.median(inside)) / 0.6745 if inside.size else 1.0
    detail = (detail / max(usual, _LEAST_DETAIL)).clip(-_BRIGHTEST, _BRIGHTEST) / _SCALE
    return np.stack((detail, pixels - 0.5)).astype(np.float32)


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[Any] = []
    for width in (before, after):
        layers += [nn.Conv2d(width, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _doubled(features: Tensor) -> Tensor:
    return nn.functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
