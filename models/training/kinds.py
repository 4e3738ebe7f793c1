"""What can be trained: the three kinds of model, and what each kind's module offers the training frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import torch
from pydantic import BaseModel
from torch import nn

from models.datasets.case import Case
from models.training.recipe import Recipe, RecipeError, read_recipe
from models.training.task import Task

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "detector": "models.training.detector.task",
        "segmenter": "models.training.segmenter.task",
        "classifier": "models.training.classifier.task",
    }
)
"""What can be trained, and the module that knows how."""


class Kind(Protocol):
    """What each module of `KINDS` offers."""

    Model: type[BaseModel]
    TaskSettings: type[BaseModel]

    def prepare(
        self,
        recipe: Recipe,
        train: Sequence[Case],
        validation: Sequence[Case],
        start: Path | None,
        device: torch.device,
    ) -> Task:
        """What is trained, on what, judged by what."""

    def part(self, network: nn.Module, recipe: Recipe) -> tuple[str, dict[str, Any]]:
        """The architecture's name and settings, as bundle.toml has them."""


def recipe_of(kind: str, source: str | Path) -> Recipe:
    """The recipe for a kind of training, by its file or its shipped name.

    Raises:
        RecipeError: see `read_recipe`; or there is no such kind.
    """
    if kind not in KINDS:
        raise RecipeError(f"{kind!r} cannot be trained. Known: {', '.join(KINDS)}.")
    module = module_of(kind)
    return read_recipe(source, kind, module.Model, module.TaskSettings)


def module_of(kind: str) -> Kind:
    """The module of a kind of `KINDS`."""
    module: Any = import_module(KINDS[kind])
    found: Kind = module
    return found
