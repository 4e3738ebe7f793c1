"""HQ-SAM's image encoders, which return intermediate features in addition to the embedding."""

from __future__ import annotations

from torch import Tensor

from models.segmenters.hq_library import ImageEncoderViT, TinyViT
from models.segmenters.vit import PATCH, VITS, Vit


class HqVit(ImageEncoderViT):  # type: ignore[misc]
    """SAM's ViT: N × 3 × side × side to the embedding and, for each global block, N × grid × grid × width.

    Attributes:
        widths: channels of each intermediate feature tensor, in order.
    """

    def __init__(self, vit: Vit, side: int) -> None:
        super().__init__(**vit.arguments(side))
        self.widths = (vit.width,) * len(vit.global_blocks)


class HqTinyVit(TinyViT):  # type: ignore[misc]
    """The TinyViT of MobileSAM: like HqVit, but the intermediate features are the outputs of its second, third and last
    stage, each after its patch merging.
    """

    def __init__(self, side: int) -> None:
        super().__init__(
            img_size=side,
            num_classes=0,
            embed_dims=[64, 128, 160, 320],
            depths=[2, 2, 6, 2],
            num_heads=[2, 4, 5, 10],
            window_sizes=[7, 7, 14, 7],
            drop_path_rate=0.0,
        )
        del self.norm_head, self.head  # the classification head is not used
        self.widths = (160, 320, 320)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """As the library's own, which works only with a grid of 64 × 64."""
        grid = self.img_size // PATCH
        tokens = self.layers[0](self.patch_embed(pictures))
        stages = []
        for layer in self.layers[1:]:
            tokens = layer(tokens)
            stages.append(tokens.view(len(pictures), grid, grid, -1))
        return self.neck(stages[-1].permute(0, 3, 1, 2)), stages


def encoder(variant: str, side: int) -> HqVit | HqTinyVit:
    """An encoder with arbitrary weights; `variant` is "tiny" or a key of VITS."""
    return HqTinyVit(side) if variant == "tiny" else HqVit(VITS[variant], side)
