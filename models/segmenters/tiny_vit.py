"""timm's TinyViT (Wu et al., ECCV 2022) as LiteMedSAM and MobileSAM have it, and how a CPU reads with it faster."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.tiny_vit import Attention, ConvNorm, MBConv, NormMlp, PatchEmbed, PatchMerging, TinyVit, TinyVitBlock
from torch import Tensor, nn

from models.fused import Activation, FusedConv, FusedLinear


def tiny_vit() -> nn.Sequential:
    """TinyViT 5M without its head: N × 3 × 256 × 256 to N × 320 × 64 × 64.

    Patches are single pixels, and the last stage keeps its resolution (as in MobileSAM).
    """
    encoder = TinyVit(
        num_classes=0,
        global_pool="",
        embed_dims=(64, 128, 160, 320),
        depths=(2, 2, 6, 2),
        num_heads=(2, 4, 5, 10),
        window_sizes=(7, 7, 14, 7),
        drop_path_rate=0.0,
    )
    encoder.patch_embed.conv1, encoder.patch_embed.conv2 = ConvNorm(3, 32), ConvNorm(32, 64)
    last: Any = encoder.stages[3]
    last.downsample.conv2.conv.stride = (1, 1)
    return nn.Sequential(encoder.patch_embed, encoder.stages)


def fuse(encoder: nn.Module) -> None:
    """Replaces its layers in place by those of `models.fused`; it cannot be trained again. Its normalisations must be
    folded (`models.prepared`)."""
    modules: list[Any] = list(encoder.modules())
    for module in modules:
        match module:
            case PatchEmbed():
                _fuse_convolution(module.conv1, "gelu")
                _fuse_convolution(module.conv2, "none")
                module.act = nn.Identity()
            case MBConv() | PatchMerging():
                _fuse_convolution(module.conv1, "gelu")
                _fuse_convolution(module.conv2, "gelu")
                _fuse_convolution(module.conv3, "none")
                module.act1 = module.act2 = nn.Identity()
            case TinyVitBlock():
                _fuse_convolution(module.local_conv, "none")
            case NormMlp():
                _fuse_linear(module, "fc1", "gelu")
                _fuse_linear(module, "fc2", "none")
                module.act = nn.Identity()
            case Attention():
                module.__class__ = _BatchedBiasAttention
                _fuse_linear(module, "qkv", "none")
                _fuse_linear(module, "proj", "none")
    if isinstance(encoder, nn.Sequential):  # what `tiny_vit` makes: patches and stages
        _skip_padding(encoder)


def _skip_padding(encoder: Any) -> None:
    """The patches and the first stage have two 3 × 3 convolutions; from the second stage on, windows are compared."""
    patches, stages = encoder
    encoder[0] = WithoutPadding(nn.Sequential(patches, stages[0]), reach=2)
    stages[0] = nn.Identity()


class WithoutPadding(nn.Module):
    """Layers of which each output depends on inputs up to `reach` pixels away, for pictures with zeros below or to the
    right.

    Far enough from the picture and the edge, such layers give the same for each row or column of zeros: one is
    calculated and repeated. A breast is twice as high as wide, so two fifths of the input are such zeros.
    """

    def __init__(self, layers: nn.Module, reach: int) -> None:
        super().__init__()
        self._layers = layers
        self._reach = reach

    def forward(self, pictures: Tensor) -> Tensor:
        """N × channels × rows × columns to N × other channels × rows × columns."""
        size = pictures.shape[2:]
        drawn = pictures.ne(0).any(dim=1).any(dim=0)
        ends = [int(drawn.any(dim=along).nonzero().max()) + 1 if drawn.any() else 0 for along in (1, 0)]
        needed = [min(whole, end + 2 * self._reach + 1) for whole, end in zip(size, ends, strict=True)]
        features: Tensor = self._layers(pictures[:, :, : needed[0], : needed[1]])
        for dimension, whole, end in zip((2, 3), size, ends, strict=True):
            features = self._repeated(features, dimension, whole, end)
        return features

    def _repeated(self, features: Tensor, dimension: int, whole: int, end: int) -> Tensor:
        missing = whole - features.shape[dimension]
        if not missing:
            return features
        before, alike, after = torch.split(features, [end + self._reach, 1, self._reach], dimension)
        return torch.cat((before, alike.repeat_interleave(1 + missing, dimension), after), dimension)


def _fuse_linear(block: nn.Module, name: str, activation: Activation) -> None:
    setattr(block, name, FusedLinear(getattr(block, name), activation))


def _fuse_convolution(block: Any, activation: Activation) -> None:
    block.conv = FusedConv(block.conv, activation)


def keep_biases_half(encoder: nn.Module, dtype: torch.dtype) -> None:
    """Converts in place the attention's biases too, as `models.prepared.keep_half` does the weights."""
    for module in encoder.modules():
        if isinstance(module, Attention):
            module.attention_biases.data = module.attention_biases.data.to(dtype)


class _BatchedBiasAttention(Attention):
    """Attention whose biases have a dimension for the batch, without which torch has no fast attention for a CPU."""

    def get_attention_biases(self, device: torch.device) -> Tensor:
        return super().get_attention_biases(device)[None]
