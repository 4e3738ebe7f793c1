"""Where a training stands, in one file that a kill cannot tear: tensors as safetensors, all else as JSON in its header.

No pickle: nothing in the file can run.
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
    """A checkpoint cannot be gone on from; the message names the file, the cause and the cure."""


@dataclass
class Course:
    """How far a training has come.

    Attributes:
        epoch: epochs done.
        best_epoch: the epoch (counted from 1) after which the best weights stood; None before the first figure.
        best_figure: the deciding figure there.
        history: one table an epoch: "epoch", "loss" (mean of each term), "validation" (figures; none where it was
            not the time to look); None stands for what is not a number.
    """

    epoch: int = 0
    best_epoch: int | None = None
    best_figure: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Checkpoint:
    """All that a training needs to go on as if it had never stopped.

    Attributes:
        tensors: by group ("weights", "average", "best", "optimizer"), then by name.
        scaler: the gradient scaler's numbers; empty where there is none.
    """

    course: Course
    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    scaler: dict[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint, digest: str) -> None:
    """Puts it at `folder/checkpoint/training.safetensors`, whole or not at all.

    Args:
        digest: of all that the training depends on (recipe, split, start weights).
    """
    about = {"digest": digest, "course": asdict(checkpoint.course), "scaler": checkpoint.scaler}
    flat = {
        f"{group}/{name}": tensor.detach().cpu().contiguous()
        for group, tensors in checkpoint.tensors.items()
        for name, tensor in tensors.items()
    }
    write_durably(folder / FILE, save(_unshared(flat), {_ABOUT: json.dumps(about)}))


def read_checkpoint(folder: Path, digest: str) -> Checkpoint | None:
    """The checkpoint in `folder`; None where none was written yet.

    Raises:
        CheckpointError: it is of another training (another recipe, split or start), or damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_ABOUT])
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        found, course, scaler = about["digest"], Course(**about["course"]), about["scaler"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}). "
            "Begin anew with --restart, or give another folder."
        ) from error
    if found != digest:
        raise CheckpointError(
            f"{path} is of another training: its recipe, its split or its start weights differ. "
            "Begin anew with --restart, or give another folder."
        )
    tensors: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in flat.items():
        group, _, own = name.partition("/")
        tensors.setdefault(group, {})[own] = tensor
    return Checkpoint(course, tensors, scaler)


def _unshared(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """safetensors takes no two names for one piece of memory."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart
