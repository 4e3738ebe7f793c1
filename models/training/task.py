"""The interface between the training loop (fit.py) and the kinds of models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


class Task(Protocol):
    """A network with its training data, its loss and its validation.

    Attributes:
        network: everything that the bundle stores, trained and frozen parts; on the CPU when it is given to the loop.
        figure: the name of the figure of `validate` by which the best weights are chosen; higher is better.
    """

    network: nn.Module
    figure: str

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The trained parameters: each group has "params", and may have "lr_scale" (a factor of the recipe's learning
        rate, default 1); frozen parameters are not included."""

    def steps(self) -> int:
        """Batches per epoch."""

    def batches(self, epoch: int) -> Iterator[Any]:
        """The batches of an epoch (counted from 0), on the CPU. The same for the same seed and epoch."""

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """The loss to minimise, and its terms by name for the log. Moves the batch to the network's device."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures on the validation patients, including `figure`."""


def groups_by_decay(network: nn.Module) -> list[dict[str, Any]]:
    """The trained parameters of a network in two groups for `Task.parameter_groups`: kernels with weight decay; norms
    and biases without."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "lr_scale": 1.0},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "lr_scale": 1.0, "weight_decay": 0.0},
    ]


@runtime_checkable
class Choosing(Protocol):
    """A task that chooses settings of the part on the validation patients, such as the detector's confidence."""

    def chosen(self, network: nn.Module) -> dict[str, Any]:
        """Settings that replace the recipe's in bundle.toml."""
