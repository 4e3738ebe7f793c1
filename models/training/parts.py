"""From a recipe and images to what a bundle stores of a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.bundles.writing import stored
from models.datasets.case import Case
from models.training.fit import fit
from models.training.kinds import KINDS
from models.training.recipe import Progress, Recipe
from models.training.task import Choosing


@dataclass(frozen=True, eq=False)
class Fitted:
    """A part that was trained.

    Attributes:
        architecture: a name in models/catalog.py.
        settings: keyword arguments of the architecture's `load`.
        weights: as a bundle stores them.
    """

    architecture: str
    settings: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor]


def fit_part(
    recipe: Recipe,
    train: Sequence[Case],
    validation: Sequence[Case],
    start: Path | None,
    folder: Path,
    device: torch.device,
    progress: Progress,
    depends_on: str,
) -> Fitted:
    """Trains a part; goes on where an earlier call was killed.

    Args:
        train: images to learn from.
        validation: images that choose the best epoch.
        start: weights to start from; None for random ones.
        folder: of the checkpoint; made where missing.
        depends_on: changes with whatever the weights depend on.

    Raises what `models.training.runs.train` raises.
    """
    kind = KINDS[recipe.kind]()
    torch.manual_seed(recipe.fit.seed)
    task = kind.prepare(recipe, train, validation, start, device)
    network = fit(task, recipe.fit, folder, device, progress, depends_on)
    architecture, settings = kind.part(network, recipe)
    if isinstance(task, Choosing):
        settings = {**settings, **task.chosen(network)}
    return Fitted(architecture, settings, stored(network.state_dict(), half=True))
