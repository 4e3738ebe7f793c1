"""Weights prepared for reading: batch normalisation folded into convolutions, and half precision where it computes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_norms(network: nn.Module) -> None:
    """Folds each batch normalisation in place into the convolution whose output it normalises, so that a GPU starts one
    kernel less and a CPU passes over memory once less. The results are the same up to rounding.

    The two are found by their order: in each module that has both, the normalisation is registered directly behind its
    convolution. That holds for the networks that call this; it does not for every network.

    Args:
        network: in eval mode; it cannot be trained again.
    """
    for module in list(network.modules()):
        before: tuple[str, nn.Module] | None = None
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.BatchNorm2d) and before is not None and isinstance(before[1], nn.Conv2d):
                setattr(module, before[0], fuse_conv_bn_eval(before[1], layer))
                # timm's have the activation in them.
                setattr(module, name, getattr(layer, "act", nn.Identity()))
            before = name, layer


def keep_half(network: nn.Module, dtype: torch.dtype) -> None:
    """Converts in place what autocast converts anew at each call: the weights of convolutions and linear layers.

    Under autocast of the same type the results are the same bit for bit; outside it the network no longer runs. Other
    parameters (of normalisations, positions) keep their type.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.to(dtype)
