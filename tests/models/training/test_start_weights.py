"""Start weights are read without running code in them, and only if they fit."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints.importing import ImportRefused, import_checkpoint
from models.checkpoints.reading import StartError, read_start
from models.detectors.stock import DetectionModel
from models.training.start import take_start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"model": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(StartError, match="cannot be read as weights"):
        read_start(path)
    assert not (tmp_path / "sprung").exists()


class Called:
    """A pickle that calls a network's class."""

    def __init__(self, kind: Callable[..., Any], *arguments: object) -> None:
        self.kind, self.arguments = kind, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.kind, self.arguments


@pytest.mark.parametrize("arguments", [(), ("yolov8n.yaml",), ({"backbone": [], "head": []},)])
@pytest.mark.parametrize("kind", [DetectionModel, torch.nn.Sequential, torch.nn.Conv2d])
def test_the_class_of_a_pickled_network_is_never_called(
    kind: type, arguments: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"model": Called(kind, *arguments)}, tmp_path / "weights.pt")
    calls: list[object] = []
    monkeypatch.setattr(kind, "__init__", lambda *_, **__: calls.append(kind))
    try:
        assert read_start(tmp_path / "weights.pt") == {}
    except StartError as error:
        assert "weights.pt cannot be read as weights (TypeError)" in str(error)  # noqa: PT017
    assert calls == []


def test_the_tensors_of_a_pickled_network_are_read_without_importing_ultralytics(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = DetectionModel("yolov8n.yaml", nc=2, verbose=False).half()
    torch.save({"model": network, "epoch": 3}, tmp_path / "best.pt")
    found, wanted = read_start(tmp_path / "best.pt"), network.state_dict()
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor.float() if tensor.is_floating_point() else tensor)
        assert not found[name].requires_grad
    code = (
        f"import sys; from pathlib import Path; from models.checkpoints.reading import read_start; "
        f"read_start(Path({str(tmp_path / 'best.pt')!r})); sys.exit('ultralytics' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_a_damaged_or_missing_file_of_start_weights_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError, match=name):
        read_start(tmp_path / name)
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(StartError, match=name):
        read_start(tmp_path / name)


@pytest.mark.parametrize("kind", ["legacy", "zip", "safetensors"])
def test_a_file_truncated_anywhere_is_refused_with_its_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("whole.safetensors" if kind == "safetensors" else "whole.pt")
    state = OrderedDict(weight=torch.arange(6.0).reshape(2, 3), count=torch.tensor(3), bias=torch.ones(40))
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    assert set(read_start(path)) == set(state)
    for length in [*range(min(len(whole), 700)), *range(700, len(whole), 23), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(StartError, match=r"whole\.\w+ .*Get it again|Give a"):
            read_start(path)


@pytest.mark.parametrize("start", [b"\x80\x02K\x01.", b"\x80\x02h\x05.", b"\x80\x02G\x00", b"\x80\x02]K\x01K\x02s."])
def test_a_file_of_malformed_pickle_is_refused_by_import_as_well(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(start)
    with pytest.raises(StartError, match=r"mine\.pt"):
        read_start(path)
    with pytest.raises(ImportRefused, match=r"mine\.pt: is damaged or not a checkpoint"):
        import_checkpoint(path, "yolov8n", tmp_path / "out", sha256=hashlib.sha256(start).hexdigest())


def test_start_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"something": torch.zeros(3)}, path)
    network = torch.nn.Linear(2, 2)
    before = network.weight.clone()
    with pytest.raises(StartError, match=r"weights\.safetensors holds 0% of this network's numbers"):
        take_start(network, read_start(path), path)
    with pytest.raises(StartError, match="33%"):
        take_start(network, {"bias": torch.zeros(2)}, path)
    assert torch.equal(network.weight, before)
    assert take_start(network, {"weight": torch.zeros(2, 2)}, path) == pytest.approx(4 / 6)
    assert take_start(network, {"bias": torch.zeros(2)}, path, lambda name: name == "weight") == 1


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_the_malicious_pickle_of_these_tests_runs_code_when_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))  # noqa: S301
    assert (tmp_path / "sprung").exists()
