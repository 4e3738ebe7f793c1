"""What a training makes of each image before its first step, frames and embeddings, kept on the disk.

The files are mapped into memory: main memory need not hold them all, and the operating system may drop what no batch
uses. Each is made once, so a training that was killed, the other folds of its patients and the classifiers of its
calibration do not make it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from models.durable import write_durably
from models.errors import UserError

Arrays = Mapping[str, NDArray[np.generic]]


class KeptError(UserError):
    """A kept file is damaged; the message names it and the cure."""


@dataclass(frozen=True)
class Kept:
    """A folder of arrays.

    Attributes:
        folder: created if missing; None: nothing is kept, and all stays in main memory.
        made_by: identifies everything but the image that the arrays depend on: the recipe's tables, the start weights.
    """

    folder: Path | None = None
    made_by: str = ""

    def of(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of this name, from their file; if there is none, `make` makes them and they are written.

        Arrays that come from a file may be changed: the file does not change with them.

        Raises:
            KeptError: the file is damaged.
        """
        if self.folder is None:
            return make()
        path = self.folder / f"{hashlib.sha256(f'{self.made_by}/{name}'.encode()).hexdigest()}.safetensors"
        if not path.is_file():
            arrays = {key: torch.from_numpy(np.ascontiguousarray(array)) for key, array in make().items()}
            write_durably(path, save(arrays))
        try:
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key).numpy() for key in file.keys()}  # noqa: SIM118  # it is no mapping
        except (OSError, SafetensorError) as error:
            raise KeptError(
                f"{path} cannot be read ({type(error).__name__}). Delete it and start again: it is made anew."
            ) from error


IN_MEMORY = Kept()
"""Keeps nothing."""
