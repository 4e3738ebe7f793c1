"""SAM and MedSAM: the same network, trained on different pictures and shown them differently.

SAM: Kirillov et al., "Segment Anything", ICCV 2023. MedSAM: Ma et al., "Segment anything in medical images", Nature
Communications 15:654 (2024), SAM's ViT-B trained on medical images with box prompts; the segmenter of Guo, Cai and
Dungey. Built of segment-anything's own parts, so that its published checkpoints fit as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT  # type: ignore[import-untyped]
from torch import Tensor, nn

from models.segmenters.network import Embedded, PromptedNet
from models.segmenters.pictures import MedSamPicture, Picture, SamPicture
from models.segmenters.prompted import PromptedSegmenter, loaded
from models.segmenters.prompts import Settings
from models.segmenters.sam_decoder import SamDecodedNet
from models.segmenters.vit import CHANNELS, PATCH, VITS, Vit

PROMPTS = Settings(shown="whole")
"""How a lesion is shown, where a bundle does not say otherwise: as SAM and MedSAM were trained."""

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
        self.image_encoder = _vit(vit, picture.side)

    def embed(self, pictures: Tensor) -> Embedded:
        """One tensor, N × 256 × side/16 × side/16."""
        return (self.image_encoder(pictures),)


def build(variant: str) -> SamNet:
    """A network with arbitrary weights; `variant` is a key of VARIANTS."""
    size, picture = VARIANTS[variant]
    return SamNet(VITS[size], picture())


def _vit(vit: Vit, side: int) -> nn.Module:
    encoder: nn.Module = ImageEncoderViT(
        img_size=side,
        patch_size=PATCH,
        embed_dim=vit.width,
        depth=vit.depth,
        num_heads=vit.heads,
        out_chans=CHANNELS,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=14,
        global_attn_indexes=vit.global_blocks,
    )
    return encoder


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of sam_vit_*.pth or medsam_vit_b.pth by their names here, which are the same."""
    return dict(state)


def untrained(variant: str, **settings: Any) -> tuple[PromptedNet, Settings]:
    """The network with arbitrary weights, and how a lesion is shown to it; settings as `load` takes them.

    Raises:
        TypeError, ValueError: a setting is unknown or wrong.
    """
    return build(variant), replace(PROMPTS, **settings)


def load(
    weights: Mapping[str, Tensor], device: torch.device, mixed_precision: bool, variant: str, **settings: Any
) -> PromptedSegmenter:
    """The segmenter out of its weights; `settings` are models.segmenters.prompts.Settings'.

    Raises:
        RuntimeError: the weights are not this network's.
        TypeError, ValueError: a setting is unknown or wrong.
    """
    net, prompts = untrained(variant, **settings)
    return loaded(net, weights, device, mixed_precision, prompts)
