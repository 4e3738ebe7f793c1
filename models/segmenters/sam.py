"""SAM and MedSAM: the same network, with different training images and input formats.

SAM: Kirillov et al., "Segment Anything", ICCV 2023. MedSAM: Ma et al., "Segment anything in medical images", Nature
Communications 15:654 (2024), SAM's ViT-B trained on medical images with box prompts; the segmenter of Guo, Cai and
Dungey. Built from segment-anything's own parts, so that its published checkpoints fit without conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT  # type: ignore[import-untyped]
from torch import Tensor, nn

from models.segmenters.network import Embedded, PromptedNet
from models.segmenters.pictures import MedSamPicture, Picture, SamPicture
from models.segmenters.prompted import loading
from models.segmenters.prompts import Settings
from models.segmenters.sam_decoder import SamDecodedNet
from models.segmenters.vit import PATCH, VITS, Vit, fold_positions, keep_positions_half

PROMPTS = Settings(shown="whole")
"""The default settings: a lesion is shown as in the training of SAM and MedSAM."""

VARIANTS: Mapping[str, tuple[str, type[SamPicture] | type[MedSamPicture]]] = {
    "vit-b": ("vit-b", SamPicture),
    "vit-l": ("vit-l", SamPicture),
    "vit-h": ("vit-h", SamPicture),
    "medsam-vit-b": ("vit-b", MedSamPicture),
}


class SamNet(SamDecodedNet):
    """Pictures of side × side and prompts to mask logits of side/4 × side/4."""

    def __init__(self, vit: Vit, picture: Picture) -> None:
        super().__init__(picture, picture.side // PATCH)
        self.image_encoder: nn.Module = ImageEncoderViT(**vit.arguments(picture.side))

    def fold(self) -> None:
        """See PromptedNet."""
        super().fold()
        fold_positions(self.image_encoder)

    def keep_half(self, dtype: torch.dtype) -> None:
        """See PromptedNet."""
        super().keep_half(dtype)
        keep_positions_half(self.image_encoder, dtype)

    def embed(self, pictures: Tensor) -> Embedded:
        """One tensor, N × 256 × side/16 × side/16."""
        return (self.image_encoder(pictures),)


def build(variant: str) -> SamNet:
    """A network with arbitrary weights; `variant` is a key of VARIANTS."""
    size, picture = VARIANTS[variant]
    return SamNet(VITS[size], picture())


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of sam_vit_*.pth or medsam_vit_b.pth, whose names are the same here."""
    return dict(state)


def untrained(variant: str, **settings: Any) -> tuple[PromptedNet, Settings]:
    """The network with arbitrary weights, and its settings; arguments as for `load`.

    Raises:
        TypeError, ValueError: a setting is unknown or wrong.
    """
    return build(variant), replace(PROMPTS, **settings)


load = loading(untrained)
