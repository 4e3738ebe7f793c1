"""SAM's image encoder (Kirillov et al., "Segment Anything", ICCV 2023): its sizes, and its attention in one kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

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


def fold_positions(encoder: nn.Module) -> None:
    """Replaces the attention of segment_anything's or segment_anything_hq's ImageEncoderViT in place; it computes the
    same up to rounding, and cannot be trained again."""
    attentions: list[Any] = [module for module in encoder.modules() if getattr(module, "use_rel_pos", False)]
    for attention in attentions:
        down, across = (_relative(table) for table in (attention.rel_pos_h, attention.rel_pos_w))
        attention.register_buffer("down", down, persistent=False)
        attention.register_buffer("across", across, persistent=False)
        attention.register_buffer("places", _places(len(down), len(across)).to(down), persistent=False)
        attention.__class__ = _FoldedAttention


def keep_positions_half(encoder: nn.Module, dtype: torch.dtype) -> None:
    """Converts in place the folded positions too, as `models.prepared.keep_half` does the weights."""
    for module in encoder.modules():
        if isinstance(module, _FoldedAttention):
            module.down, module.across, module.places = (
                table.to(dtype) for table in (module.down, module.across, module.places)
            )


class _FoldedAttention(nn.Module):
    """Attention with relative positions (Li et al., MViTv2, CVPR 2022, equation 4) as attention without.

    What a query q adds to the attention for its distance to a key, q · R(rows apart) + q · R(columns apart), is a
    scalar product too: of all such sums of that query, and of a vector that is 1 at the key's row and column. Appended
    to queries and keys, it leaves an attention for which torch has one kernel that stores no matrix of all pairs.
    """

    qkv: nn.Linear
    proj: nn.Linear
    num_heads: int
    scale: float
    down: Tensor
    across: Tensor
    places: Tensor

    def forward(self, tokens: Tensor) -> Tensor:
        """Batch × rows × columns × width in and out."""
        batch, rows, columns, width = tokens.shape
        shape = (batch, rows * columns, 3, self.num_heads, width // self.num_heads)
        query, key, value = self.qkv(tokens).reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
        at = query.unflatten(2, (rows, columns))
        down = torch.einsum("bnhwc,hkc->bnhwk", at, self.down).flatten(2, 3)
        across = torch.einsum("bnhwc,wkc->bnhwk", at, self.across).flatten(2, 3)
        places = self.places.to(key.dtype).expand(batch, self.num_heads, -1, -1)
        query = _padded(torch.cat((query * self.scale, down, across), dim=-1))
        key = _padded(torch.cat((key, places), dim=-1))
        channels = value.shape[-1]
        if value.device.type == "cpu":  # whose kernel takes values of the width of keys only
            value = functional.pad(value, (0, key.shape[-1] - channels))
        attended = functional.scaled_dot_product_attention(query, key, value, scale=1.0)[..., :channels]
        answer: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, rows, columns, width))
        return answer


def _relative(table: Tensor) -> Tensor:
    """Of a table of distances (2 n − 1 × channels), the row of each pair of a query's and a key's place: n × n ×
    channels."""
    places = torch.arange((len(table) + 1) // 2, device=table.device)
    return table.detach()[places[:, None] - places[None, :] + len(places) - 1]


def _places(rows: int, columns: int) -> Tensor:
    """For each place of a grid, row by row, 1 at its row and at its column: rows · columns × (rows + columns)."""
    at_row = torch.eye(rows).repeat_interleave(columns, dim=0)
    return torch.cat((at_row, torch.eye(columns).repeat(rows, 1)), dim=1)


def _padded(vectors: Tensor) -> Tensor:
    """With zeros up to a multiple of 8 channels, which the kernel asks for."""
    return functional.pad(vectors, (0, -vectors.shape[-1] % 8))
