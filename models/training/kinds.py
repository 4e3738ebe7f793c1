"""The kinds of models that can be trained, and the functions by which the training code uses them."""

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
from models.training.kept import Kept
from models.training.recipe import Recipe, RecipeError, read_recipe
from models.training.task import Task


@dataclass(frozen=True)
class Kind:
    """A kind of model that can be trained.

    Attributes:
        model: the recipe's table [model].
        settings: the recipe's table [task].
        prepare: makes the task from a recipe, training cases, validation cases, start weights (None: random ones) and
            a device, and where what is made of each image is kept.
        part: takes a trained network and its recipe; returns the architecture's name and settings for bundle.toml.
    """

    model: type[BaseModel]
    settings: type[BaseModel]
    prepare: Callable[[Recipe, Sequence[Case], Sequence[Case], Path | None, torch.device, Kept], Task]
    part: Callable[[nn.Module, Recipe], tuple[str, dict[str, Any]]]


def _detector() -> Kind:
    from models.training.detector.task import Model, TaskSettings, part, prepare

    return Kind(Model, TaskSettings, prepare, part)


def _calcifications() -> Kind:
    from models.training.calcifications.task import Model, TaskSettings, part, prepare

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
    {"detector": _detector, "calcifications": _calcifications, "segmenter": _segmenter, "classifier": _classifier}
)
"""By the name in a recipe. Each function imports its library only when it is called."""


def recipe_of(kind: str, source: str | Path) -> Recipe:
    """The recipe for a kind of training, by its file or its shipped name.

    Raises:
        RecipeError: see `read_recipe`; or there is no such kind.
    """
    if kind not in KINDS:
        raise RecipeError(f"{kind!r} cannot be trained. Known: {', '.join(KINDS)}.")
    found = KINDS[kind]()
    return read_recipe(source, kind, found.model, found.settings)
