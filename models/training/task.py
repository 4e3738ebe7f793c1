"""What there is to train: the seam between the training loop (fit.py) and the three kinds of model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


class Task(Protocol):
    """A network with its training pictures, its loss and the validation patients that judge it.

    Attributes:
        network: all that the bundle part stores, trained and frozen parts alike; on the CPU when the loop gets it.
        figure: which of `validate`'s figures decides which weights are kept; higher is better.
    """

    network: nn.Module
    figure: str

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is trained: "params" and "lr_scale" (of the recipe's learning rate) a group; frozen ones are absent."""

    def steps(self) -> int:
        """Batches an epoch."""

    def batches(self, epoch: int) -> Iterator[Any]:
        """The batches of an epoch (counted from 0), on the CPU. The same for the same seed and epoch."""

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """The sum to be made small, and its terms by name, for the record. Moves the batch to the network's device."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures on the validation patients, `figure` among them."""


def groups_by_decay(network: nn.Module) -> list[dict[str, Any]]:
    """All that is trained of a network, in the two groups of `Task.parameter_groups`: weight decay is for kernels;
    norms and biases have none."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "lr_scale": 1.0},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "lr_scale": 1.0, "weight_decay": 0.0},
    ]


@runtime_checkable
class Choosing(Protocol):
    """A task whose validation patients choose settings of the part, such as the detector's confidence."""

    def chosen(self, network: nn.Module) -> dict[str, Any]:
        """Settings that stand in bundle.toml in place of the recipe's."""
