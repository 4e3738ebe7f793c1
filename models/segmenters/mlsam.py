"""MLSAM: HQ-SAM whose fine features also come from the middle of the image encoder.

Chen, Liu and Wang, "Yolo-MLSAM: SAM Based Breast Cancer Microcalcification Cluster-Segmentation Method", 3.2. Our
choices where the paper is not specific:

- It takes features after blocks 6, 12 and 24 of ViT-L. Blocks 6 and 12 (counted from 1) are the first and second with
  global attention, 24 is the last: so "early" and "middle" are the first and second global block, in ViT-B blocks 3 and
  6, in ViT-H 8 and 16. `middle_block` chooses another. In TinyViT, which has no such blocks, they are the outputs of
  the second and third stage (blocks 4 and 10 of 12), each after its patch merging.
- "Final" is HQ-SAM's, block 24 after the encoder's neck, so that Table 3's HQ-SAM is this network without `middle`, and
  HQ-SAM's checkpoints fit. `last_block` adds block 24 itself as a further branch.
- "Global fusion" is interpreted as HQ-SAM's fusion convolutions: without it, the decoder's mask features are added
  unchanged. The encoder's features need their convolutions in any case, to have the same size.

The last layer of each new branch is initialised to zero: with HQ-SAM's weights (`start_from`) the untrained network
gives HQ-SAM's masks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.segmenters.hq_encoders import HqTinyVit, HqVit, encoder
from models.segmenters.hq_library import LayerNorm2d
from models.segmenters.hq_sam import SIDE, HqSamNet, PictureName, picture_of
from models.segmenters.network import Embedded, PromptedNet
from models.segmenters.pictures import Picture
from models.segmenters.prompted import loading
from models.segmenters.prompts import Settings
from models.segmenters.vit import CHANNELS

PROMPTS = Settings(margin_mm=0.0, shown="whole", prompt="box+point")
"""The default settings: the whole image, the detector's box without margin, and its brightest pixel (3.1). The paper
does not say whether the point is used with the box or instead of it."""


@dataclass(frozen=True)
class Branches:
    """The branches whose sum is the fine features: the columns of Table 3, by default all of them.

    Attributes:
        early, middle, final: the image encoder's features.
        mask_features: the mask decoder's.
        global_fusion: the mask decoder's features pass through HQ-SAM's fusion convolutions.
        middle_block: index (from 0) of the "middle" one of the encoder's global blocks (in TinyViT: of its stages from
            the second on).
        last_block: a further branch, from the last block itself.

    Raises:
        ValueError: all branches are off.
    """

    early: bool = True
    middle: bool = True
    final: bool = True
    mask_features: bool = True
    global_fusion: bool = True
    middle_block: int = 1
    last_block: bool = False

    def __post_init__(self) -> None:
        if not (self.early or self.middle or self.final or self.mask_features or self.last_block):
            raise ValueError("early, middle, final, mask_features and last_block are all false: turn one on")


class MlsamNet(HqSamNet):
    """As HqSamNet. Branches that are off keep their weights, so that every row of Table 3 fits the same state dict."""

    ADDITIONS: ClassVar[tuple[str, ...]] = (*HqSamNet.ADDITIONS, "compress_middle.", "compress_last.")

    def __init__(
        self, image_encoder: HqVit | HqTinyVit, picture: Picture, branches: Branches, hq_token_only: bool = False
    ) -> None:
        super().__init__(image_encoder, picture, hq_token_only)
        widths = image_encoder.widths
        if not 0 < branches.middle_block < len(widths):
            raise ValueError(f"middle_block is {branches.middle_block}; give 1 to {len(widths) - 1}")
        self.branches = branches
        self.intermediate = (0, branches.middle_block, *([len(widths) - 1] if branches.last_block else []))
        self.compress_middle = _zero_branch(widths[branches.middle_block])
        self.compress_last = _zero_branch(widths[-1]) if branches.last_block else None

    @property
    def unused(self) -> tuple[str, ...]:
        """See PromptedNet."""
        on = self.branches
        used = {
            "mask_decoder.embedding_encoder.": on.final,
            "mask_decoder.compress_vit_feat.": on.early,
            "compress_middle.": on.middle,
            "mask_decoder.embedding_maskfeature.": on.mask_features and on.global_fusion,
        }
        return tuple(name for name, is_on in used.items() if not is_on)

    def fine_features(self, embedded: Embedded, index: Tensor, features: Tensor) -> Tensor:
        """See HqSamNet."""
        on, decoder = self.branches, self.mask_decoder
        final, early, middle, *last = embedded
        of_picture: list[Tensor] = []
        if on.final:
            of_picture.append(decoder.embedding_encoder(final))
        if on.early:
            of_picture.append(decoder.compress_vit_feat(early))
        if on.middle:
            of_picture.append(self.compress_middle(middle))
        if self.compress_last is not None:
            of_picture.append(self.compress_last(*last))
        of_prompt: list[Tensor] = []
        if on.mask_features:
            of_prompt.append(decoder.embedding_maskfeature(features) if on.global_fusion else features)
        if of_picture:
            of_prompt.append(reduce(torch.add, of_picture)[index])
        return reduce(torch.add, of_prompt)


def _zero_branch(width: int) -> nn.Module:
    """As HQ-SAM's `compress_vit_feat`, N × width × grid × grid to N × 32 × 4·grid × 4·grid, but 0 before training."""
    last = nn.ConvTranspose2d(CHANNELS, CHANNELS // 8, kernel_size=2, stride=2)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    widen = nn.ConvTranspose2d(width, CHANNELS, kernel_size=2, stride=2)
    return nn.Sequential(widen, LayerNorm2d(CHANNELS), nn.GELU(), last)


def build(
    variant: str,
    hq_token_only: bool = False,
    picture: PictureName = "sam",
    branches: Branches | None = None,
    side: int = SIDE,
) -> MlsamNet:
    """A network with arbitrary weights (new branches: zeros); arguments as hq_sam.build's."""
    shown = picture_of(picture, side)
    return MlsamNet(encoder(variant, shown.side), shown, branches or Branches(), hq_token_only)


def untrained(
    variant: str, hq_token_only: bool = False, picture: PictureName = "sam", side: int = SIDE, **settings: Any
) -> tuple[PromptedNet, Settings]:
    """The network with arbitrary weights, and its settings; arguments as for `load`.

    Raises:
        TypeError, ValueError: a setting is unknown or wrong.
    """
    names = {field.name for field in fields(Branches)}
    branches = Branches(**{name: value for name, value in settings.items() if name in names})
    others = {name: value for name, value in settings.items() if name not in names}
    return build(variant, hq_token_only, picture, branches, side), replace(PROMPTS, **others)


load = loading(untrained)
