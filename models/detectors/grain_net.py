"""A small fully convolutional network that marks grains of calcium, pixel by pixel, at native resolution.

An encoder and a decoder with skip connections (Ronneberger et al., U-Net, MICCAI 2015), three levels deep. What it
sees is made so that scanners look alike: the picture without its coarse structure, in units of how much detail (noise
and fine tissue) it usually has, and the picture itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.device import tf32
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
        return self._logits(pictures, _Rims())

    def inner(self, pictures: Tensor) -> Tensor:
        """The logits without the outermost `CONTEXT_PX` rows and columns, on which they depend.

        They are those of `forward` up to rounding. What they do not depend on is not calculated.
        """
        return self._logits(pictures, _INNER)

    def _logits(self, pictures: Tensor, rims: _Rims) -> Tensor:
        fine = self.fine(_without(pictures, rims.pictures))
        middle = self.middle(nn.functional.max_pool2d(fine, 2))
        coarse = _doubled(_without(self.coarse(nn.functional.max_pool2d(middle, 2)), rims.coarse))
        middle = self.up_middle(torch.cat((_without(coarse, rims.doubled), _without(middle, rims.middle)), dim=1))
        middle = _doubled(_without(middle, rims.up_middle))
        fine = self.up_fine(torch.cat((_without(middle, rims.doubled), _without(fine, rims.fine)), dim=1))
        logits: Tensor = self.head(_without(fine, rims.up_fine))
        return logits[:, 0]

    def fuse(self) -> None:
        """Replaces its convolutions by those of `models.fused`: faster on a CPU, not for training. Its normalisations
        must be folded (`models.prepared`)."""
        blocks: list[Any] = [self.fine, self.middle, self.coarse, self.up_middle, self.up_fine]
        for block in blocks:
            for place in range(0, len(block), 3):
                block[place] = FusedConv(block[place], "relu")
                block[place + 2] = nn.Identity()


@dataclass(frozen=True)
class _Rims:
    """How many of the outermost rows and columns are left out of what the network's parts give."""

    pictures: int = 0
    coarse: int = 0
    doubled: int = 0
    middle: int = 0
    up_middle: int = 0
    up_fine: int = 0
    fine: int = 0


# Outwards from a picture's inner part, each 3 × 3 convolution needs a further pixel of its own level and each doubling
# three quarters of one. So the fine level's second half needs 2 pixels of its input, that of the middle level 4, and
# the coarse level 3; the rest of the rim of 32 (8 coarse pixels) is left out where it is no longer needed, a multiple
# of `STRIDE` where pixels are pooled afterwards.
_INNER = _Rims(pictures=4, coarse=4, doubled=2, middle=10, up_middle=2, fine=26, up_fine=2)


def channels_of(pixels: NDArray[np.float32], mm_per_px: float) -> NDArray[np.float32]:
    """What the network sees of a picture.

    Args:
        pixels: rows × columns, greys in 0..1; 0 is air.
        mm_per_px: of the picture.

    Returns:
        2 × rows × columns, float32: the detail in units of its own usual size, and the greys.
    """
    tissue = pixels > 0
    coarse = cv2.GaussianBlur(pixels, (0, 0), _COARSE_MM / mm_per_px)
    if not tissue.all():  # of the tissue alone: at the skin, air would make all of it stand out
        share = cv2.GaussianBlur(tissue.astype(np.float32), (0, 0), _COARSE_MM / mm_per_px)
        coarse = coarse / np.maximum(share, _LEAST_DETAIL)
    detail = (pixels - coarse) * tissue
    inside = np.abs(detail[tissue])
    usual = float(np.median(inside)) / 0.6745 if inside.size else 1.0
    detail = (detail / max(usual, _LEAST_DETAIL)).clip(-_BRIGHTEST, _BRIGHTEST) / _SCALE
    return np.stack((detail, pixels - 0.5)).astype(np.float32)


def blurring(side: int, mm_per_px: float) -> Tensor:
    """The matrix (side × side, float32) that blurs the rows of a picture as `channels_of` does, and transposed its
    columns."""
    taps = cv2.GaussianBlur(np.eye(side, dtype=np.float32), (0, 0), sigmaX=1e-3, sigmaY=_COARSE_MM / mm_per_px)
    return torch.from_numpy(taps)


def channels_together(pictures: Tensor, blur: Tensor) -> Tensor:
    """`channels_of` of square pictures on a GPU: batch × side × side to batch × 2 × side × side, float32.

    Args:
        blur: see `blurring`.
    """
    tissue = pictures > 0
    with torch.autocast(pictures.device.type, enabled=False), tf32(False):
        coarse, share = (blur @ greys @ blur.T for greys in (pictures, tissue.float()))
    detail = (pictures - coarse / share.clamp(min=_LEAST_DETAIL)) * tissue
    usual = _medians(detail.abs(), tissue) / 0.6745
    usual = torch.where(tissue.any(dim=(1, 2)), usual, 1).clamp(min=_LEAST_DETAIL)[:, None, None]
    return torch.stack(((detail / usual).clamp(-_BRIGHTEST, _BRIGHTEST) / _SCALE, pictures - 0.5), dim=1)


def _medians(values: Tensor, chosen: Tensor) -> Tensor:
    """Of the chosen values of each picture; as many as pictures. Without any it is infinite."""
    ordered = torch.where(chosen, values, torch.inf).flatten(1).sort(dim=1).values
    count = chosen.sum(dim=(1, 2))
    middle = torch.stack(((count - 1).clamp(min=0) // 2, count // 2), dim=1)
    return ordered.gather(1, middle).mean(dim=1)


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[Any] = []
    for width in (before, after):
        layers += [nn.Conv2d(width, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _without(features: Tensor, rim: int) -> Tensor:
    return features[..., rim:-rim, rim:-rim] if rim else features


def _doubled(features: Tensor) -> Tensor:
    return nn.functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
