"""Recipes: every number a training run depends on, in a TOML file, so that it can be repeated.

A recipe says nothing of the data: those are given on the command line. It may be `like = "…"` another one (a file
beside it, or one that ships) and say only what differs. Its tables: [split] how images are held out, [fit] how the
weights are fitted, [model] the network, [task] pictures, loss and batches, [calibration]. What stands in [model] and
[task] is checked by the kind's own module (`task.py` in models/training/detector, segmenter and classifier: their
`Model` and `TaskSettings`).
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
"""Called with the steps done, the steps there are, and a line on how it goes."""


class RecipeError(UserError):
    """The recipe cannot be used; the message names the file, the keys and what is wrong with each."""


class RecipeTable(BaseModel):
    """A table of a recipe: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitRecipe(RecipeTable):
    """How images are held out; the same for every part of a bundle.

    Attributes:
        scheme: "patient": drawn by patient, stratified; "official": the sides that the publishers gave;
            "paper": 20 % for the test, then 80/20 of the rest (Guo, Cai and Dungey), by patient.
        test: share of the images that the figures are measured on.
        validation: share of the images that chooses the best epoch and calibrates.
        seed: of the draw.
    """

    scheme: Literal["patient", "official", "paper"] = "patient"
    test: Share = 0.2
    validation: Share = 0.15
    seed: int = 1


class FitRecipe(RecipeTable):
    """How weights are fitted.

    Attributes:
        epochs: passes over the training pictures, at most.
        optimizer: AdamW, Adam, or SGD with Nesterov momentum 0.9.
        learning_rate: the highest; a parameter group has its `lr_scale` of it.
        warmup: steps over which the rate rises from nothing to its highest.
        schedule: "cosine": down to a hundredth at the last step; "step": times `step_factor` after every `step_epochs`
            epochs; "constant".
        weight_decay: the optimizer's.
        average: how much of the running average of the weights each step keeps, (1 + step) / (10 + step) at most; 0:
            the last weights stand for it.
        mixed_precision: bfloat16 on a CPU, float16 with scaled gradients on CUDA, where that is enough.
        patience: end where a look at the validation patients brings no better figure for so many epochs; None: never.
        validate_every: so many epochs lie between two looks at the validation patients; the last is looked at too.
        largest_gradient: gradients are cut to this norm; None: never.
        seed: of the first weights, the order and the augmentations.
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
    """How a classifier's scores become probabilities (see `models/training/calibration/fitting.py`).

    Attributes:
        method: "platt" (slope and offset on the logit), "temperature" (slope alone: a score of 0.5 means the
            prevalence), "isotonic", or "none".
        least: fewer cases of either sort than this calibrate nothing, and the training says so.
        folds: as many more trainings, each of which scores the patients that it was not shown (at least 3; see
            `models/training/calibration/cross_fitting.py`); 0: the validation patients calibrate.
        composed: for sets of single views: an image stands for its breast, and exams are put together from the breasts
            of two patients (see `models/training/calibration/composing.py`).
    """

    method: Literal["platt", "temperature", "isotonic", "none"] = "platt"
    least: int = Field(default=10, ge=2)
    folds: int = Field(default=0, ge=0)
    composed: bool = False


class _Tables(RecipeTable):
    """A recipe's file before its kind is asked."""

    kind: str
    split: SplitRecipe = SplitRecipe()
    fit: FitRecipe
    model: dict[str, Any] = {}
    task: dict[str, Any] = {}
    calibration: CalibrationRecipe = CalibrationRecipe()


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read and checked.

    Attributes:
        name: its file's name without the ending.
        kind: "detector", "segmenter" or "classifier".
        model: the network, as the kind's `Model` says.
        task: pictures, loss and batches, as the kind's `TaskSettings` says.
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
        """SHA-256 of everything it says but its name, hexadecimal."""
        tables = (self.split, self.fit, self.model, self.task, self.calibration)
        said = "\n".join((self.kind, *(table.model_dump_json() for table in tables)))
        return hashlib.sha256(said.encode()).hexdigest()


def read_recipe(source: str | Path, kind: str, model: type[BaseModel], task: type[BaseModel]) -> Recipe:
    """Reads and checks a recipe.

    Args:
        source: a TOML file, or the name of a recipe that ships ("detector").
        kind: what is to be trained.
        model: checks [model].
        task: checks [task].

    Raises:
        RecipeError: the file is missing, is no TOML, is for another kind, or a key is missing, unknown or out of range.
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
    """What a recipe says it trains.

    Raises:
        RecipeError: the file is missing, is no TOML or no recipe.
    """
    return _tables(source)[1].kind


def _tables(source: str | Path) -> tuple[Path, _Tables]:
    path = find_recipe(source)
    try:
        return path, _Tables.model_validate(_said(path))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}. Ship with the node: {_listed()}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        raise RecipeError(f"{path} is not a recipe: {_faults(error)}.") from error


def _said(path: Path) -> dict[str, Any]:
    """The file's tables, put over those of the recipe that it is `like`."""
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    other = said.pop("like", None)
    if other is None:
        return said
    neighbour = path.with_name(f"{other}.toml")
    under = _said(neighbour if neighbour.is_file() and neighbour != path else find_recipe(str(other)))
    own = {name: {**under.get(name, {}), **value} if isinstance(value, dict) else value for name, value in said.items()}
    return {**under, **own}


def find_recipe(source: str | Path) -> Path:
    """The file of a recipe that ships, by its name, or of one's own, by its path."""
    named = _SHIPPED / f"{source}.toml"
    return named if named.is_file() and not Path(source).is_file() else Path(source)


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with the node."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


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
