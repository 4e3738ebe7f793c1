"""What can be trained: the three kinds of model, and what each of them offers the training frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from models.datasets.case import Case
from models.training.recipe import Recipe, RecipeError, read_recipe
from models.training.task import Task


@dataclass(frozen=True)
class Kind:
    """A kind of model that can be trained.

    Attributes:
        model: the recipe's table [model].
        settings: the recipe's table [task].
        prepare: makes the task of a recipe, training cases, validation cases, start weights (None: random ones) and
            device.
        part: gives, of a network that was trained by a recipe, the architecture's name and settings as bundle.toml
            has them.
    """

    model: type[BaseModel]
    settings: type[BaseModel]
    prepare: Callable[[Recipe, Sequence[Case], Sequence[Case], Path | None, torch.device], Task]
    part: Callable[[nn.Module, Recipe], tuple[str, dict[str, Any]]]


def _detector() -> Kind:
    from models.training.detector.task import Model, TaskSettings, part, prepare

    return Kind(Model, TaskSettings, prepare, part)


def _segmenter() -> Kind:
    from models.training.segmenter.recipe import Model, TaskSettings
    from models.training.segmenter.task import part, prepare

    return Kind(Model, TaskSettings, prepare, part)


def _classifier() -> Kind:
    from models.training.classifier.recipe import Model, TaskSettings
    from models.training.classifier.task import part, prepare

    return Kind(Model, TaskSettings, prepare, part)


KINDS: Mapping[str, Callable[[], Kind]] = MappingProxyType(
    {"detector": _detector, "segmenter": _segmenter, "classifier": _classifier}
)
"""What can be trained, by its name in a recipe. Each imports its library when it is called, and not before."""


def recipe_of(kind: str, source: str | Path) -> Recipe:
    """The recipe for a kind of training, by its file or its shipped name.

    Raises:
        RecipeError: see `read_recipe`; or there is no such kind.
    """
    if kind not in KINDS:
        raise RecipeError(f"{kind!r} cannot be trained. Known: {', '.join(KINDS)}.")
    found = KINDS[kind]()
    return read_recipe(source, kind, found.model, found.settings)
