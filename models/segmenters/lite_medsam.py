"""LiteMedSAM: outlines the lesion in a box prompt.

Ma et al., "Segment anything in medical images", Nature Communications 15:654 (2024), in its light form: a TinyViT
(Wu et al., ECCV 2022) in place of SAM's ViT, distilled from MedSAM, at 256 × 256. Here it is timm's TinyViT and
segment-anything's prompt encoder and mask decoder; `models import` converts the published weights.

Small lesions are lost when a whole mammogram is reduced to 256 pixels: a lesion is shown in a crop, which it shares
with lesions near it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from segment_anything.modeling.common import LayerNorm2d  # type: ignore[import-untyped]
from torch import Tensor, nn

from models.segmenters.network import Embedded, PromptedNet
from models.segmenters.pictures import LiteMedSamPicture
from models.segmenters.prompted import loading
from models.segmenters.prompts import Settings
from models.segmenters.sam_decoder import SamDecodedNet
from models.segmenters.tiny_vit import fuse, keep_biases_half, tiny_vit
from models.segmenters.vit import CHANNELS

PROMPTS = Settings()
"""The default settings."""

_GRID = 64
"""Rows and columns of the embedding (256 channels × 64 × 64)."""

_RENAMES = (
    (r"^image_encoder\.neck\.", "neck."),
    (r"^image_encoder\.patch_embed\.seq\.0\.", "image_encoder.0.conv1."),
    (r"^image_encoder\.patch_embed\.seq\.2\.", "image_encoder.0.conv2."),
    (r"^image_encoder\.layers\.", "image_encoder.1."),
    (r"\.c\.weight$", ".conv.weight"),
)


class LiteMedSamNet(SamDecodedNet):
    """Pictures of 256 × 256 and prompts to mask logits of 256 × 256."""

    ENCODERS: ClassVar[tuple[str, ...]] = ("image_encoder.", "neck.")

    def __init__(self) -> None:
        super().__init__(LiteMedSamPicture(), _GRID)
        self.image_encoder = tiny_vit()
        self.neck = nn.Sequential(
            nn.Conv2d(320, CHANNELS, kernel_size=1, bias=False),
            LayerNorm2d(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(CHANNELS),
        )

    def embed(self, pictures: Tensor) -> Embedded:
        """One tensor, N × 256 × 64 × 64."""
        return (self.neck(self.image_encoder(pictures)),)

    def keep_half(self, dtype: torch.dtype) -> None:
        """See PromptedNet."""
        super().keep_half(dtype)
        keep_biases_half(self.image_encoder, dtype)

    def fuse(self) -> None:
        """See PromptedNet."""
        fuse(self.image_encoder)


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of lite_medsam.pth with the names used here.

    Patch merging is at the end of a stage there, and at the beginning of the next stage here.
    """
    return {_renamed(name): weight for name, weight in state.items()}


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return re.sub(r"^(image_encoder\.1\.)(\d)(\.downsample\.)", lambda m: f"{m[1]}{int(m[2]) + 1}{m[3]}", name)


def untrained(**settings: Any) -> tuple[PromptedNet, Settings]:
    """The network with arbitrary weights, and its settings; arguments as for `load`.

    Raises:
        TypeError, ValueError: a setting is unknown or wrong.
    """
    return LiteMedSamNet(), replace(PROMPTS, **settings)


load = loading(untrained)
