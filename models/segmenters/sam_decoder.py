"""SAM's prompt encoder and mask decoder, for any image encoder: one image can have many prompts."""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer  # type: ignore[import-untyped]
from torch import Tensor

from models.segmenters.network import Embedded, PromptedNet, encode_prompts, positions_of
from models.segmenters.pictures import Picture
from models.segmenters.vit import CHANNELS


class SamDecodedNet(PromptedNet):
    """A network with one embedding tensor (N × 256 × grid × grid) and SAM's own decoder."""

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
        """See PromptedNet. One mask per prompt: of the decoder's four, the one for unambiguous prompts."""
        sparse, dense = encode_prompts(self.prompt_encoder, boxes, points, masks)
        # The decoder adds its single embedding to the dense prompt of every prompt. Here each prompt has its own
        # embedding: it is added to the dense prompt, and the decoder's embedding is 0.
        logits, _ = self.mask_decoder(
            image_embeddings=torch.zeros_like(embedded[0][:1]),
            image_pe=positions_of(self.prompt_encoder),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=embedded[0][index] + dense,
            multimask_output=False,
        )
        drawn: Tensor = logits[:, 0]
        return drawn
