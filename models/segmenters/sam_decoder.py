"""SAM's prompt encoder and mask decoder, behind whatever image encoder: one picture has many prompts."""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer  # type: ignore[import-untyped]
from torch import Tensor

from models.segmenters.network import Embedded, PromptedNet, encode_prompts
from models.segmenters.pictures import Picture
from models.segmenters.vit import CHANNELS


class SamDecodedNet(PromptedNet):
    """A network whose embedding (its only one: N × 256 × grid × grid) SAM's own decoder turns into masks."""

    def __init__(self, picture: Picture, grid: int) -> None:
        super().__init__(picture)
        self.prompt_encoder = PromptEncoder(CHANNELS, (grid, grid), (picture.side, picture.side), mask_in_chans=16)
        self.mask_decoder = MaskDecoder(
            transformer_dim=CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=8, mlp_dim=2048),
        )

    def decode(
        self,
        embedded: Embedded,
        index: Tensor,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Tensor:
        """See PromptedNet. One mask a prompt: of the decoder's four the one meant for prompts that leave no doubt."""
        sparse, dense = encode_prompts(self.prompt_encoder, boxes, points, masks)
        # The decoder pairs the one embedding it is given with every prompt. Ours come one to one: as dense prompts,
        # to which the decoder adds that embedding, here nothing.
        logits, _ = self.mask_decoder(
            image_embeddings=torch.zeros_like(embedded[0][:1]),
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=embedded[0][index] + dense,
            multimask_output=False,
        )
        drawn: Tensor = logits[:, 0]
        return drawn
