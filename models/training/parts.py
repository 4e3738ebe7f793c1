"""Trains a part of a bundle from a recipe and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.bundles.writing import stored
from models.datasets.case import Case
from models.training.fit import fit
from models.training.kept import IN_MEMORY, Kept
from models.training.kinds import KINDS
from models.training.recipe import Progress, Recipe
from models.training.task import Choosing


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained part.

    Attributes:
        architecture: a name in models/catalog.py.
        settings: keyword arguments of the architecture's `load`.
        weights: the state dict as stored in a bundle.
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
    kept: Kept = IN_MEMORY,
) -> Fitted:
    """Trains a part; continues a training that was killed.

    Args:
        train: training images.
        validation: images that choose the best epoch.
        start: start weights; None for random ones.
        folder: of the checkpoint; created if missing.
        depends_on: identifies everything that the weights depend on.
        kept: holds what is made of each image.

    Raises what `models.training.runs.train` raises.
    """
    kind = KINDS[recipe.kind]()
    torch.manual_seed(recipe.fit.seed)
    task = kind.prepare(recipe, train, validation, start, device, kept)
    network = fit(task, recipe.fit, folder, device, progress, depends_on)
    architecture, settings = kind.part(network, recipe)
    if isinstance(task, Choosing):
        settings = {**settings, **task.chosen(network)}
    return Fitted(architecture, settings, stored(network.state_dict(), half=True))
