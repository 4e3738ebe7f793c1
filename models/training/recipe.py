"""Recipes: every number that a training depends on, in a TOML file, so that the training can be repeated.

A recipe does not name the data: they are given on the command line. With `like = "…"` it inherits from another recipe
(a file in the same folder, or a shipped one) and states only the differences. Its tables: [split] how images are held
out, [fit] how the weights are fitted, [model] the network, [task] augmentation, loss and batches, [calibration].
[model] and [task] are checked by the kind's own models (`Model` and `TaskSettings` in models/training/detector,
segmenter and classifier).
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import UserError

Share = Annotated[float, Field(gt=0, lt=0.5)]
Chance = Annotated[float, Field(ge=0, le=1)]

Progress = Callable[[int, int, str], None]
"""Called with the number of steps done, the total number of steps, and a line of text on the progress."""


class RecipeError(UserError):
    """The recipe cannot be used; the message names the file, the keys and the fault of each."""


class RecipeTable(BaseModel):
    """A table of a recipe: unknown keys are refused, and it is immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitRecipe(RecipeTable):
    """How images are held out; the same for every part of a bundle.

    Attributes:
        scheme: "patient": random by patient, stratified; "official": the publishers' split; "paper": 20 % for the test,
            then 80/20 of the rest (Guo, Cai and Dungey), by patient.
        test: share of the images that are used for the test.
        validation: share of the images that are used to choose the best epoch and to calibrate.
        seed: of the random split.
    """

    scheme: Literal["patient", "official", "paper"] = "patient"
    test: Share = 0.2
    validation: Share = 0.15
    seed: int = 1


class FitRecipe(RecipeTable):
    """How weights are fitted.

    Attributes:
        epochs: the largest number of epochs.
        optimizer: AdamW, Adam, or SGD with Nesterov momentum 0.9.
        learning_rate: the highest; each parameter group multiplies it by its `lr_scale`.
        warmup: steps over which the rate rises linearly from 0 to its highest.
        schedule: "cosine": decay to a hundredth at the last step; "step": times `step_factor` after every `step_epochs`
            epochs; "constant".
        weight_decay: the optimizer's.
        average: decay of the running average of the weights (EMA), (1 + step) / (10 + step) at most; 0: the current
            weights are used instead of an average.
        mixed_precision: bfloat16 on a CPU, float16 with scaled gradients on CUDA, in operations for which it is exact
            enough.
        patience: early stopping after this many epochs without a better validation figure; None: never.
        validate_every: epochs from one validation to the next; the last epoch is always validated.
        largest_gradient: gradients are clipped to this norm; None: never.
        seed: of the initial weights, the order and the augmentation.
    """

    epochs: int = Field(ge=1)
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0)
    warmup: int = Field(default=0, ge=0)
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    step_epochs: int = Field(default=10, ge=1)
    step_factor: float = Field(default=0.1, gt=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    average: float = Field(default=0.0, ge=0, lt=1)
    mixed_precision: bool = False
    patience: int | None = Field(default=None, ge=1)
    validate_every: int = Field(default=1, ge=1)
    largest_gradient: float | None = Field(default=None, gt=0)
    seed: int = Field(default=1, ge=0)


class CalibrationRecipe(RecipeTable):
    """How a classifier's scores are converted to probabilities (see `models/training/calibration/fitting.py`).

    Attributes:
        method: "platt" (slope and offset on the logit), "temperature" (only a slope: a score of 0.5 gets the
            prevalence), "isotonic", or "none".
        least: the least number of malignant and of other cases for a calibration; with fewer there is none, and the
            training reports it.
        folds: the number of additional trainings, each of which scores the patients that were not used in it (at least
            3; see `models/training/calibration/cross_fitting.py`); 0: the validation patients are used.
        normals: the share of normal images, breasts and exams among those that are not malignant, by weight; None:
            every case counts the same (`models.measures.scores.weights`).
        composed: for sets of single views: an image's score is used for its breast, and exams are composed from the
            breasts of two patients (see `models/training/calibration/composing.py`). Breasts of which there are two
            views keep their own score.
    """

    method: Literal["platt", "temperature", "isotonic", "none"] = "platt"
    least: int = Field(default=10, ge=2)
    folds: int = Field(default=0, ge=0)
    normals: float | None = Field(default=None, gt=0, lt=1)
    composed: bool = False


class _Tables(RecipeTable):
    """The tables of a recipe's file, with [model] and [task] not yet checked."""

    kind: str
    split: SplitRecipe = SplitRecipe()
    fit: FitRecipe
    model: dict[str, Any] = {}
    task: dict[str, Any] = {}
    calibration: CalibrationRecipe = CalibrationRecipe()


@dataclass(frozen=True)
class Recipe:
    """A recipe, read and checked.

    Attributes:
        name: its file's name without the extension.
        kind: "detector", "segmenter" or "classifier".
        model: the network: the kind's `Model`.
        task: augmentation, loss and batches: the kind's `TaskSettings`.
    """

    name: str
    kind: str
    split: SplitRecipe
    fit: FitRecipe
    model: Any
    task: Any
    calibration: CalibrationRecipe

    @property
    def digest(self) -> str:
        """SHA-256 of its content without its name, hexadecimal."""
        tables = (self.split, self.fit, self.model, self.task, self.calibration)
        content = "\n".join((self.kind, *(table.model_dump_json() for table in tables)))
        return hashlib.sha256(content.encode()).hexdigest()


def read_recipe(source: str | Path, kind: str, model: type[BaseModel], task: type[BaseModel]) -> Recipe:
    """Reads and checks a recipe.

    Args:
        source: a TOML file, or the name of a shipped recipe ("detector").
        kind: the kind of model to train.
        model: checks [model].
        task: checks [task].

    Raises:
        RecipeError: the file is missing, not TOML or for another kind, or a key is missing, unknown or out of range.
    """
    path, tables = _tables(source)
    if tables.kind != kind:
        raise RecipeError(f"{path}: kind is {tables.kind!r}, but a {kind} is to be trained. Give a {kind}'s recipe.")
    return Recipe(
        name=path.stem,
        kind=kind,
        split=tables.split,
        fit=tables.fit,
        model=_checked(path, "model", model, tables.model),
        task=_checked(path, "task", task, tables.task),
        calibration=tables.calibration,
    )


def kind_of(source: str | Path) -> str:
    """The kind of model that a recipe trains.

    Raises:
        RecipeError: the file is missing, not TOML or not a recipe.
    """
    return _tables(source)[1].kind


def _tables(source: str | Path) -> tuple[Path, _Tables]:
    path = find_recipe(source)
    try:
        return path, _Tables.model_validate(_content(path))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}. Shipped recipes: {_listed()}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        raise RecipeError(f"{path} is not a recipe: {_faults(error)}.") from error


def _content(path: Path) -> dict[str, Any]:
    """The file's tables; keys that it does not have are inherited from the recipe named by `like`."""
    own = tomllib.loads(path.read_text(encoding="utf-8"))
    parent = own.pop("like", None)
    if parent is None:
        return own
    neighbour = path.with_name(f"{parent}.toml")
    base = _content(neighbour if neighbour.is_file() and neighbour != path else find_recipe(str(parent)))
    merged = {key: {**base.get(key, {}), **value} if isinstance(value, dict) else value for key, value in own.items()}
    return {**base, **merged}


def find_recipe(source: str | Path) -> Path:
    """The file of a shipped recipe, given by name, or of a user's recipe, given by path."""
    named = _shipped().get(str(source))
    return named if named is not None and not Path(source).is_file() else Path(source)


def shipped_recipes() -> list[str]:
    """The names of the recipes that ship with the node."""
    return sorted(_shipped())


def _shipped() -> dict[str, Path]:
    return {path.stem: path for path in _SHIPPED.rglob("*.toml")}


def _checked(path: Path, name: str, model: type[BaseModel], values: dict[str, Any]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{path} is not a recipe: {_faults(error, name)}.") from error


def _faults(error: ValidationError, table: str = "") -> str:
    prefix = (table,) if table else ()
    return "; ".join(f"{'.'.join(map(str, (*prefix, *fault['loc'])))}: {fault['msg']}" for fault in error.errors())


def _listed() -> str:
    return ", ".join(shipped_recipes()) or "none"


_SHIPPED = Path(__file__).parents[1] / "recipes"
