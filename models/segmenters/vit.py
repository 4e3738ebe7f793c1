"""The sizes in which SAM's image encoder comes (Kirillov et al., "Segment Anything", ICCV 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CHANNELS = 256
"""Of an embedding, whatever the encoder."""
PATCH = 16
"""Input pixels to one place of the embedding's grid."""


@dataclass(frozen=True)
class Vit:
    """A vision transformer.

    Attributes:
        width: channels of a token.
        depth: blocks.
        heads: of each block's attention.
        global_blocks: the blocks (counted from 0) that attend to the whole picture; the others see windows of 14 × 14.
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]


VITS: Mapping[str, Vit] = {
    "vit-b": Vit(768, 12, 12, (2, 5, 8, 11)),
    "vit-l": Vit(1024, 24, 16, (5, 11, 17, 23)),
    "vit-h": Vit(1280, 32, 16, (7, 15, 23, 31)),
}
