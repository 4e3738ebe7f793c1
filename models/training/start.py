"""Takes weights over that others made for other pictures."""

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
        network: takes them.
        start: tensors by name.
        source: where they are from, for the message.
        new: whether the network's tensor of a name is not expected of a start: it is copied where it fits, not counted.

    Returns:
        The share of the network's other numbers that were copied, 0.5..1.

    Raises:
        StartError: it is less than half: these are weights of another network. Nothing was copied.
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
