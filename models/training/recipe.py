"""Recipes: every number a training run depends on, in a TOML file, so that it can be repeated."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(gt=0, lt=0.5)]
Chance = Annotated[float, Field(ge=0, le=1)]

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps there are, and a line on how it goes."""


class RecipeError(ValueError):
    """The recipe cannot be used; the message names the file, the keys and what is wrong with each."""


class SplitRecipe(BaseModel):
    """How images are held out (see `models.training.split`); the same for every part of a bundle.

    Attributes:
        test: share of the images that the figures are measured on.
        validation: share of the images that chooses the best epoch.
        seed: of the draw.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    test: Share
    validation: Share
    seed: int


class DetectorRecipe(BaseModel):
    """How the detector is trained.

    Attributes:
        scale: YOLOv8's width.
        input_px: side of the square that the breast is set in.
        epochs: passes over the training images.
        validate_every: so many epochs lie between two looks at the validation images; the last epoch is looked at too.
        batch: images a step.
        learning_rate: AdamW's highest; it rises over the first `warmup` steps and falls as a cosine.
        average: how much of the running average of the weights each step keeps.
        mosaic: chance that four images make one; never in the last fifth of the epochs.
        mixed_precision: bfloat16 where that is enough.
        seed: of the first weights, the order and the augmentations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    split: SplitRecipe
    scale: Literal["n", "s"]
    input_px: int = Field(ge=64, multiple_of=32)
    epochs: int = Field(ge=1)
    validate_every: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    warmup: int = Field(ge=0)
    weight_decay: float = Field(ge=0)
    average: Chance
    mosaic: Chance
    mixed_precision: bool
    seed: int


class ClassifierRecipe(BaseModel):
    """How the classifier is trained.

    Attributes:
        image_px: side of the square that the whole breast is shown in.
        epochs: passes over the training images and lesions.
        batch: pictures of each sort a step.
        learning_rate: AdamW's highest for the heads; the backbone learns at `backbone_rate` times that.
        average: how much of the running average of the weights each step keeps.
        dropout: share of the pooled features left out in training.
        mixed_precision: bfloat16 where that is enough.
        seed: of the first weights, the order and the augmentations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    split: SplitRecipe
    image_px: int = Field(ge=64, multiple_of=32)
    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    backbone_rate: float = Field(gt=0)
    warmup: int = Field(ge=0)
    weight_decay: float = Field(ge=0)
    average: Chance
    dropout: Chance
    mixed_precision: bool
    seed: int


Recipe = TypeVar("Recipe", bound=BaseModel)


def read_recipe(path: Path, kind: type[Recipe]) -> Recipe:
    """Reads and checks a recipe.

    Raises:
        RecipeError: the file is missing, is no TOML, or a key is missing, unknown or out of range.
    """
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}. Give a recipe such as detector.toml.") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise RecipeError(f"{path} is not a recipe for this training: {faults}.") from error
