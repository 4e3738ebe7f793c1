"""The state of a training in one file, written atomically: tensors as safetensors, all else as JSON in its header.

No pickle: the file cannot contain code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from models.durable import write_durably
from models.errors import UserError

FILE = "checkpoint/training.safetensors"
_ABOUT = "training"


class CheckpointError(UserError):
    """The training cannot be continued from the checkpoint; the message names the file, the cause and the cure."""


@dataclass
class Course:
    """The progress of a training.

    Attributes:
        epoch: the number of finished epochs.
        best_epoch: the epoch (counted from 1) with the best weights; None before the first validation.
        best_figure: the deciding figure of that epoch.
        history: one table per epoch: "epoch", "loss" (mean of each term), "validation" (figures; empty if there was no
            validation in this epoch); None stands for NaN and infinity.
    """

    epoch: int = 0
    best_epoch: int | None = None
    best_figure: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Checkpoint:
    """Everything that is needed to continue a training as if it had not been interrupted.

    Attributes:
        tensors: by group ("weights", "average", "best", "optimizer"), then by name.
        scaler: the gradient scaler's numbers; empty where there is none.
    """

    course: Course
    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    scaler: dict[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint, digest: str) -> None:
    """Writes it to `folder/checkpoint/training.safetensors` atomically.

    Args:
        digest: of everything that the training depends on (recipe, split, start weights).
    """
    about = {"digest": digest, "course": asdict(checkpoint.course), "scaler": checkpoint.scaler}
    flat = {
        f"{group}/{name}": tensor.detach().cpu().contiguous()
        for group, tensors in checkpoint.tensors.items()
        for name, tensor in tensors.items()
    }
    write_durably(folder / FILE, save(_unshared(flat), {_ABOUT: json.dumps(about)}))


def read_checkpoint(folder: Path, digest: str) -> Checkpoint | None:
    """The checkpoint in `folder`; None if there is none.

    Raises:
        CheckpointError: it belongs to another training (another recipe, split or start), or is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_ABOUT])
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is not a mapping
        found, course, scaler = about["digest"], Course(**about["course"]), about["scaler"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}). "
            "Start again with --restart, or give another folder."
        ) from error
    if found != digest:
        raise CheckpointError(
            f"{path} is of another training: its recipe, its split or its start weights differ. "
            "Start again with --restart, or give another folder."
        )
    tensors: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in flat.items():
        group, _, own = name.partition("/")
        tensors.setdefault(group, {})[own] = tensor
    return Checkpoint(course, tensors, scaler)


def _unshared(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors without shared memory, which safetensors does not allow."""
    seen: set[int] = set()
    unshared = {}
    for name, tensor in tensors.items():
        address = tensor.untyped_storage().data_ptr()
        unshared[name] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return unshared
