"""HQ-SAM: SAM with one more token, whose mask is drawn on finer features.

Ke et al., "Segment Anything in High Quality", NeurIPS 2023. Those features are the sum of three: the image encoder's
early ones, its final ones, and the mask decoder's. Built of segment-anything-hq's own parts, so that its published
checkpoints fit as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from models.segmenters.hq_encoders import HqTinyVit, HqVit, encoder
from models.segmenters.hq_library import MaskDecoderHQ, PromptEncoder, TwoWayTransformer
from models.segmenters.network import Embedded, PromptedNet, encode_prompts
from models.segmenters.pictures import MedSamPicture, Picture, SamPicture
from models.segmenters.prompted import loading
from models.segmenters.prompts import Settings
from models.segmenters.vit import CHANNELS, PATCH

PROMPTS = Settings(shown="whole")
"""How a lesion is shown, where a bundle does not say otherwise: as HQ-SAM was trained."""

PictureName = Literal["sam", "medsam"]


class HqSamNet(PromptedNet):
    """Pictures of side × side and prompts to mask logits of side/4 × side/4.

    Attributes:
        hq_token_only: the new token's mask alone; else SAM's logits are added, as the published code does by default.
            The additions are trained so, since SAM itself stays as it is (Ke et al., 3.3), and read with the sum.
        handed_on: which of the tensors that the encoder hands out on its way `embed` hands on.
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
        self.handed_on: tuple[int, ...] = (0,)
        grid = picture.side // PATCH
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(CHANNELS, (grid, grid), (picture.side, picture.side), mask_in_chans=16)
        self.mask_decoder = MaskDecoderHQ(
            transformer_dim=CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=8, mlp_dim=2048),
            vit_dim=image_encoder.widths[0],
        )

    def embed(self, pictures: Tensor) -> Embedded:
        """The embedding (N × 256 × grid × grid), then what is handed on (each N × width × grid × grid)."""
        final, on_the_way = self.image_encoder(pictures)
        return (final, *(on_the_way[place].permute(0, 3, 1, 2) for place in self.handed_on))

    def decode(
        self,
        embedded: Embedded,
        index: Tensor,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Tensor:
        """See PromptedNet. One mask a prompt: the new token's, with SAM's mask for prompts that leave no doubt.

        The library's decoder draws for one picture at a time; this is its arithmetic for many.
        """
        decoder = self.mask_decoder
        sparse, dense = encode_prompts(self.prompt_encoder, boxes, points, masks)
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hf_token.weight])
        tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
        source = embedded[0][index] + dense
        positions = self.prompt_encoder.get_dense_pe().expand(len(sparse), -1, -1, -1)
        answers, seen = decoder.transformer(source, positions, tokens)
        features = decoder.output_upscaling(seen.transpose(1, 2).view(source.shape))
        first, last = 1, len(own) - 1  # the token of SAM's single mask, and the new one
        fine = self.fine_features(embedded, index, features)
        drawn = torch.einsum("pc,pchw->phw", decoder.hf_mlp(answers[:, last]), fine)
        if self.hq_token_only:
            return drawn
        return drawn + torch.einsum("pc,pchw->phw", decoder.output_hypernetworks_mlps[0](answers[:, first]), features)

    def fine_features(self, embedded: Embedded, index: Tensor, features: Tensor) -> Tensor:
        """What the new token's mask is drawn on.

        Args:
            embedded: N pictures, as `embed` gives them.
            index: P: which of them each prompt is about.
            features: the mask decoder's, P × 32 × 4·grid × 4·grid, which is also the result's shape.
        """
        final, early = embedded
        decoder = self.mask_decoder
        of_picture = decoder.embedding_encoder(final) + decoder.compress_vit_feat(early)
        fine: Tensor = decoder.embedding_maskfeature(features) + of_picture[index]
        return fine


def build(variant: str, hq_token_only: bool = False, picture: PictureName = "sam") -> HqSamNet:
    """A network with arbitrary weights.

    Args:
        variant: "vit-b", "vit-l", "vit-h" or "tiny".
        hq_token_only: see HqSamNet.
        picture: "medsam" where the frozen encoder is MedSAM's, which wants other greys.
    """
    shown = picture_of(picture)
    return HqSamNet(encoder(variant, shown.side), shown, hq_token_only)


def picture_of(name: PictureName) -> Picture:
    """
    Raises:
        ValueError: there is none of this name.
    """
    if name not in ("sam", "medsam"):
        raise ValueError(f"picture is {name!r}; give sam or medsam")
    return MedSamPicture() if name == "medsam" else SamPicture()


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of sam_hq_vit_*.pth by their names here: the same, without TinyViT's classifier."""
    unused = ("image_encoder.norm_head.", "image_encoder.head.")
    return {name: weight for name, weight in state.items() if not name.startswith(unused)}


def untrained(
    variant: str, hq_token_only: bool = False, picture: PictureName = "sam", **settings: Any
) -> tuple[PromptedNet, Settings]:
    """The network with arbitrary weights, and how a lesion is shown to it; settings as `load` takes them.

    Raises:
        TypeError, ValueError: a setting is unknown or wrong.
    """
    return build(variant, hq_token_only, picture), replace(PROMPTS, **settings)


load = loading(untrained)
