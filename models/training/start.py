"""Loads pretrained weights of another training into a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from models.checkpoints.reading import StartError

_LEAST = 0.5


def take_start(
    network: nn.Module, start: Mapping[str, torch.Tensor], source: Path, new: Callable[[str], bool] = lambda _: False
) -> float:
    """Copies every tensor whose name and shape fit into the network.

    Args:
        network: the network to load them into.
        start: tensors by name.
        source: their file, for the message.
        new: whether the network's tensor of this name is optional in start weights: it is copied if it fits, but not
            counted.

    Returns:
        The share of the network's other numbers that were copied, 0.5..1.

    Raises:
        StartError: the share is less than half: the weights belong to another network. Nothing was copied.
    """
    own = network.state_dict()
    fitting = {name: tensor for name, tensor in start.items() if name in own and own[name].shape == tensor.shape}
    expected = {name: tensor.numel() for name, tensor in own.items() if not new(name)}
    share = sum(count for name, count in expected.items() if name in fitting) / sum(expected.values())
    if share < _LEAST:
        raise StartError(
            f"{source} holds {share:.0%} of this network's numbers: it is of another architecture or scale. "
            "Give weights of the recipe's network, or name theirs in the recipe ([model])."
        )
    network.load_state_dict(fitting, strict=False)
    return float(share)
