"""The training loop for all kinds of models (see task.py). After a kill it continues from the last finished epoch.

The random generators are seeded at the start of every epoch from the recipe's seed and the epoch's number, and each
epoch ends with a checkpoint: on the CPU of one machine, a training that was killed and started again gives the same
weights bit for bit as one that was not. (On CUDA some kernels add in any order: the same figures, not the same bits.)
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from models.device import half_type
from models.durable import write_durably
from models.errors import UserError
from models.training.checkpoint import Checkpoint, Course, read_checkpoint, write_checkpoint
from models.training.recipe import FitRecipe, Progress
from models.training.stepping import average_into, kept_of_average, rate_factor
from models.training.task import Task

HISTORY = "history.json"


class TrainingError(UserError):
    """The training cannot continue; the message says why and what to change."""


def fit(
    task: Task, recipe: FitRecipe, folder: Path, device: torch.device, progress: Progress, depends_on: str = ""
) -> nn.Module:
    """Trains the task's network and returns the best weights: the running average at the best validation figure.

    Writes into `folder`: checkpoint/ (after every epoch), tensorboard/ (loss terms, learning rate, validation figures),
    and history.json at the end. If the folder has a checkpoint of the same training, it continues from it; if that
    training was finished, it returns its weights at once.

    Args:
        task: the network, its data, its loss and its validation.
        recipe: the settings of the loop.
        folder: of this training; created if missing.
        device: where to train.
        progress: called after each step.
        depends_on: identifies everything else that the training depends on (recipe, split, start weights): a checkpoint
            with another value is refused.

    Returns:
        The network in evaluation mode on `device`; none of its parameters requires a gradient.

    Raises:
        CheckpointError: the folder's checkpoint is damaged or of another training.
        TrainingError: there is no training data, the loss is not finite, or the deciding figure is never finite.
    """
    if task.steps() < 1:
        raise TrainingError("There is nothing to train on: no training image can be used. Give more images.")
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(f"{recipe.model_dump_json()}\n{depends_on}".encode()).hexdigest()
    loop = _Loop(task, recipe, device)
    if (found := read_checkpoint(folder, digest)) is not None:
        loop.resume(found)
    # TensorBoard's entries of an unfinished epoch are dropped; steps are counted from 1.
    with SummaryWriter(folder / "tensorboard", purge_step=loop.course.epoch * task.steps() + 1) as board:
        while not loop.ended:
            loop.epoch(progress, board)
            write_checkpoint(folder, loop.checkpoint(), digest)
    write_durably(folder / HISTORY, (json.dumps(loop.course.history, indent=1) + "\n").encode())
    if loop.course.best_epoch is None:
        raise TrainingError(
            f"No validation gave a {task.figure} that is a number, so there are no best weights. "
            "Give more validation images ([split] of the recipe)."
        )
    return loop.best_network()


class _Loop:
    """The state of a training between two epochs."""

    def __init__(self, task: Task, recipe: FitRecipe, device: torch.device) -> None:
        self._task, self._recipe, self._device = task, recipe, device
        self._network = task.network.to(device)
        self._optimizer = _optimizer(task.parameter_groups(), recipe)
        self._average = copy.deepcopy(self._network).requires_grad_(False).eval()
        self._best = _changing(self._network, self._average)
        self._scaler = torch.amp.GradScaler(device.type, enabled=recipe.mixed_precision and device.type == "cuda")
        self.course = Course()

    @property
    def ended(self) -> bool:
        """Whether all epochs are done, or `patience` epochs have passed without a better figure (early stopping)."""
        course, patience = self.course, self._recipe.patience
        waited = course.epoch - (course.best_epoch or 0)
        stops_early = patience is not None and waited >= patience and self._is_validated()
        return stops_early or course.epoch >= self._recipe.epochs

    def epoch(self, progress: Progress, board: SummaryWriter) -> None:
        """Trains one epoch, and validates if this epoch is to be validated."""
        recipe, course, steps = self._recipe, self.course, self._task.steps()
        torch.manual_seed(recipe.seed * 1_000_003 + course.epoch)
        self._network.train()
        sums: dict[str, float] = {}
        total, done = recipe.epochs * steps, course.epoch * steps
        for batch in self._task.batches(course.epoch):
            factor = rate_factor(recipe, done, steps)
            terms = self._step(batch, factor, kept_of_average(recipe, done))
            done += 1
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value
                board.add_scalar(f"loss/{name}", value, done)
            board.add_scalar("learning_rate", recipe.learning_rate * factor, done)
            progress(done, total, self._progress_text(terms["sum"]))
        course.epoch += 1
        figures = self._validate() if self._is_validated() else {}
        for name, value in figures.items():
            board.add_scalar(f"validation/{name}", value, done)
        means = {name: value / steps for name, value in sums.items()}
        course.history.append({"epoch": course.epoch, "loss": _numbers(means), "validation": _numbers(figures)})

    def _step(self, batch: Any, factor: float, kept: float) -> dict[str, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate * group["lr_scale"] * factor
        with torch.autocast(self._device.type, half_type(self._device), enabled=self._recipe.mixed_precision):
            loss, terms = self._task.loss(self._network, batch)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss of epoch {self.course.epoch + 1} is {value}. "
                "Lower learning_rate, set largest_gradient, or turn mixed_precision off."
            )
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._recipe.largest_gradient is not None:
            self._scaler.unscale_(self._optimizer)
            trained = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(trained, self._recipe.largest_gradient)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        average_into(self._average, self._network, kept)
        return {"sum": value, **terms}

    def _is_validated(self) -> bool:
        epoch, recipe = self.course.epoch, self._recipe
        return epoch % recipe.validate_every == 0 or epoch == recipe.epochs

    def _validate(self) -> dict[str, float]:
        """The figures of the running average; stores its weights if they are the best so far. A deciding figure that is
        not finite (the validation patients have no data for it) is never the best."""
        with torch.no_grad():
            figures = self._task.validate(_settled(self._average))
        figure, course = figures[self._task.figure], self.course
        if math.isfinite(figure) and (course.best_figure is None or figure > course.best_figure):
            course.best_epoch, course.best_figure = course.epoch, figure
            self._best = _changing(self._network, self._average)
        return figures

    def _progress_text(self, loss: float) -> str:
        course, figure = self.course, self._task.figure
        so_far = "" if course.best_figure is None else f", best {figure} {course.best_figure:.3f}"
        validations = [line["validation"] for line in course.history if line["validation"]]
        if validations and validations[-1][figure] is None:
            so_far += f", the last {figure} is not a number"
        return f"epoch {self.course.epoch + 1} of {self._recipe.epochs}, loss {loss:.3f}{so_far}"

    def checkpoint(self) -> Checkpoint:
        """The current state. Frozen weights are left out: they do not change."""
        state = self._optimizer.state_dict()["state"]
        tensors = {
            "weights": _changing(self._network, self._network),
            "average": _changing(self._network, self._average),
            "best": self._best,
            "optimizer": {
                f"{number}/{name}": value
                for number, values in state.items()
                for name, value in values.items()
                if isinstance(value, Tensor)
            },
        }
        return Checkpoint(self.course, tensors, self._scaler.state_dict())

    def resume(self, checkpoint: Checkpoint) -> None:
        """Sets the state to that of the checkpoint."""
        self.course = checkpoint.course
        _put(self._network, checkpoint.tensors["weights"])
        _put(self._average, checkpoint.tensors["average"])
        self._best = dict(checkpoint.tensors["best"])
        state: dict[int, dict[str, Any]] = {}
        for key, tensor in checkpoint.tensors.get("optimizer", {}).items():
            number, _, name = key.partition("/")
            state.setdefault(int(number), {})[name] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})
        if checkpoint.scaler:
            self._scaler.load_state_dict(checkpoint.scaler)

    def best_network(self) -> nn.Module:
        """The running average with the best weights in it."""
        _put(self._average, self._best)
        return _settled(self._average)


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    """The values for JSON: None for NaN and infinity."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _optimizer(groups: list[dict[str, Any]], recipe: FitRecipe) -> torch.optim.Optimizer:
    scaled = [{"lr_scale": 1.0, **group, "lr": recipe.learning_rate} for group in groups]
    match recipe.optimizer:
        case "adamw":
            return torch.optim.AdamW(scaled, recipe.learning_rate, weight_decay=recipe.weight_decay)
        case "adam":
            return torch.optim.Adam(scaled, recipe.learning_rate, weight_decay=recipe.weight_decay)
        case "sgd":
            decay = recipe.weight_decay
            return torch.optim.SGD(scaled, recipe.learning_rate, momentum=0.9, nesterov=True, weight_decay=decay)


def _changing(trained: nn.Module, values: nn.Module) -> dict[str, Tensor]:
    """Copies on the CPU of all tensors of `values` that training changes: parameters not frozen in `trained`,
    buffers."""
    frozen = {name for name, parameter in trained.named_parameters() if not parameter.requires_grad}
    return {name: tensor.cpu().clone() for name, tensor in values.state_dict().items() if name not in frozen}


def _settled(network: nn.Module) -> nn.Module:
    """The network, ready for inference after a change of its weights: timm's TinyViT caches a table computed from them,
    which only a change of mode clears."""
    return network.train().eval()


def _put(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = network.state_dict()
    for name, tensor in tensors.items():
        own[name].copy_(tensor)
