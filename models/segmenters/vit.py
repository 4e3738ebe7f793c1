"""The sizes of SAM's image encoder (Kirillov et al., "Segment Anything", ICCV 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

CHANNELS = 256
"""Channels of an embedding, the same for all encoders."""
PATCH = 16
"""Input pixels per cell of the embedding's grid, along each side."""


@dataclass(frozen=True)
class Vit:
    """A vision transformer.

    Attributes:
        width: channels of a token.
        depth: blocks.
        heads: of each block's attention.
        global_blocks: the blocks (counted from 0) with global attention; the others attend to windows of 14 × 14.
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]

    def arguments(self, side: int) -> dict[str, Any]:
        """The arguments of segment_anything's and segment_anything_hq's ImageEncoderViT, for inputs of side × side."""
        return {
            "img_size": side,
            "patch_size": PATCH,
            "embed_dim": self.width,
            "depth": self.depth,
            "num_heads": self.heads,
            "out_chans": CHANNELS,
            "norm_layer": partial(nn.LayerNorm, eps=1e-6),
            "use_rel_pos": True,
            "window_size": 14,
            "global_attn_indexes": self.global_blocks,
        }


VITS: Mapping[str, Vit] = {
    "vit-b": Vit(768, 12, 12, (2, 5, 8, 11)),
    "vit-l": Vit(1024, 24, 16, (5, 11, 17, 23)),
    "vit-h": Vit(1280, 32, 16, (7, 15, 23, 31)),
}
