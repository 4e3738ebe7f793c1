"""Weights to start from are read without running what is in them, and only where they fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.training.start import StartError, read_start, take_start


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"model": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(StartError, match="cannot be read as weights"):
        read_start(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_a_damaged_or_missing_file_of_start_weights_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError, match=name):
        read_start(tmp_path / name)
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(StartError, match=name):
        read_start(tmp_path / name)


def test_start_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"something": torch.zeros(3)}, path)
    with pytest.raises(StartError, match="None of the start weights fits"):
        take_start(torch.nn.Linear(2, 2), read_start(path))
    assert take_start(torch.nn.Linear(2, 2), {"bias": torch.zeros(2)}) == pytest.approx(2 / 6)


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_the_trap_is_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))  # noqa: S301
    assert (tmp_path / "sprung").exists()
