"""HQ-SAM: SAM with one more token, whose mask is computed from finer features.

Ke et al., "Segment Anything in High Quality", NeurIPS 2023. Those features are the sum of three: the image encoder's
early features, its final features, and the mask decoder's. Built from segment-anything-hq's own parts, so that its
published checkpoints fit without conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from models.segmenters.hq_encoders import HqTinyVit, HqVit, encoder
from models.segmenters.hq_library import MaskDecoderHQ, PromptEncoder, TwoWayTransformer
from models.segmenters.network import Embedded, PromptedNet, encode_prompts, positions_of
from models.segmenters.pictures import MedSamPicture, Picture, SamPicture
from models.segmenters.prompted import loading
from models.segmenters.prompts import Settings
from models.segmenters.vit import CHANNELS, PATCH, fold_positions, keep_positions_half

PROMPTS = Settings(shown="whole")
"""The default settings: a lesion is shown as in HQ-SAM's training."""

PictureName = Literal["sam", "medsam"]
SIDE = 1024
"""Of SAM's input, in pixels."""


class HqSamNet(PromptedNet):
    """Pictures of side × side and prompts to mask logits of side/4 × side/4.

    Attributes:
        hq_token_only: use only the new token's mask; else SAM's logits are added, as the published code does by
            default. The additions are trained with the new token's mask only, because SAM is frozen (Ke et al., 3.3);
            inference uses the sum.
        intermediate: indices of the encoder's intermediate features that `embed` returns.
    """

    ADDITIONS: ClassVar[tuple[str, ...]] = (
        "mask_decoder.hf_token.",
        "mask_decoder.hf_mlp.",
        "mask_decoder.compress_vit_feat.",
        "mask_decoder.embedding_encoder.",
        "mask_decoder.embedding_maskfeature.",
    )

    def __init__(self, image_encoder: HqVit | HqTinyVit, picture: Picture, hq_token_only: bool = False) -> None:
        super().__init__(picture)
        self.hq_token_only = hq_token_only
        self.intermediate: tuple[int, ...] = (0,)
        grid = picture.side // PATCH
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(CHANNELS, (grid, grid), (picture.side, picture.side), mask_in_chans=16)
        self.mask_decoder = MaskDecoderHQ(
            transformer_dim=CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=8, mlp_dim=2048),
            vit_dim=image_encoder.widths[0],
        )

    def fold(self) -> None:
        """See PromptedNet."""
        super().fold()
        fold_positions(self.image_encoder)

    def keep_half(self, dtype: torch.dtype) -> None:
        """See PromptedNet."""
        super().keep_half(dtype)
        keep_positions_half(self.image_encoder, dtype)

    def embed(self, pictures: Tensor) -> Embedded:
        """The embedding (N × 256 × grid × grid), then intermediate features (each N × width × grid × grid)."""
        final, stages = self.image_encoder(pictures)
        return (final, *(stages[index].permute(0, 3, 1, 2) for index in self.intermediate))

    def decode(
        self,
        embedded: Embedded,
        index: Tensor,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Tensor:
        """See PromptedNet. One mask per prompt: the new token's, plus SAM's mask for unambiguous prompts.

        The library's decoder works on one image at a time; this is the same computation for a batch.
        """
        decoder = self.mask_decoder
        sparse, dense = encode_prompts(self.prompt_encoder, boxes, points, masks)
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hf_token.weight])
        tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
        source = embedded[0][index] + dense
        positions = positions_of(self.prompt_encoder).expand(len(sparse), -1, -1, -1)
        answers, attended = decoder.transformer(source, positions, tokens)
        features = decoder.output_upscaling(attended.transpose(1, 2).view(source.shape))
        first, last = 1, len(own) - 1  # the token of SAM's single mask, and the new one
        fine = self.fine_features(embedded, index, features)
        drawn = torch.einsum("pc,pchw->phw", decoder.hf_mlp(answers[:, last]), fine)
        if self.hq_token_only:
            return drawn
        return drawn + torch.einsum("pc,pchw->phw", decoder.output_hypernetworks_mlps[0](answers[:, first]), features)

    def fine_features(self, embedded: Embedded, index: Tensor, features: Tensor) -> Tensor:
        """The features from which the new token's mask is computed.

        Args:
            embedded: of N images, from `embed`.
            index: P: the image of each prompt.
            features: the mask decoder's, P × 32 × 4·grid × 4·grid; the result has the same shape.
        """
        final, early = embedded
        decoder = self.mask_decoder
        of_picture = decoder.embedding_encoder(final) + decoder.compress_vit_feat(early)
        fine: Tensor = decoder.embedding_maskfeature(features) + of_picture[index]
        return fine


def build(variant: str, hq_token_only: bool = False, picture: PictureName = "sam", side: int = SIDE) -> HqSamNet:
    """A network with arbitrary weights.

    Args:
        variant: "vit-b", "vit-l", "vit-h" or "tiny".
        hq_token_only: see HqSamNet.
        picture: "medsam" if the frozen encoder is MedSAM's, which needs other greys; else "sam".
        side: see `picture_of`.
    """
    shown = picture_of(picture, side)
    return HqSamNet(encoder(variant, shown.side), shown, hq_token_only)


def picture_of(name: PictureName, side: int = SIDE) -> Picture:
    """The input format of this name.

    Args:
        side: of the input, in pixels. Weights of TinyViT fit every side, those of a ViT only that of their training.

    Raises:
        ValueError: there is none of this name, or the side is no multiple of a patch.
    """
    if side < PATCH or side % PATCH:
        raise ValueError(f"side is {side}; give a multiple of {PATCH}")
    if name not in ("sam", "medsam"):
        raise ValueError(f"picture is {name!r}; give sam or medsam")
    return MedSamPicture(side) if name == "medsam" else SamPicture(side)


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of sam_hq_vit_*.pth with the names used here: the same, without TinyViT's classification head."""
    unused = ("image_encoder.norm_head.", "image_encoder.head.")
    return {name: weight for name, weight in state.items() if not name.startswith(unused)}


def untrained(
    variant: str, hq_token_only: bool = False, picture: PictureName = "sam", side: int = SIDE, **settings: Any
) -> tuple[PromptedNet, Settings]:
    """The network with arbitrary weights, and its settings; arguments as for `load`.

    Raises:
        TypeError, ValueError: a setting is unknown or wrong.
    """
    return build(variant, hq_token_only, picture, side), replace(PROMPTS, **settings)


load = loading(untrained)
