"""A training resumes after a kill with the same result, and ends when it no longer improves."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.training.checkpoint import FILE, CheckpointError
from models.training.fit import TrainingError, fit
from models.training.recipe import FitRecipe
from models.training.stepping import average_into, kept_of_average, rate_factor

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Line:
    """A frozen layer before a trained one with dropout and batch norm, that learn to separate two clusters."""

    figure = "right"

    def __init__(self, figures: list[float] | None = None) -> None:
        torch.manual_seed(7)
        self.network = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3), nn.Linear(4, 1))
        self.network[0].requires_grad_(False)
        self.figures = figures

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": self.network[1].parameters()}, {"params": self.network[4].parameters(), "lr_scale": 2.0}]

    def steps(self) -> int:
        return 3

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        draw = torch.Generator().manual_seed(epoch)
        for _ in range(3):
            labels = torch.randint(0, 2, (8,), generator=draw).float()
            yield torch.randn(8, 2, generator=draw) + labels[:, None], labels

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        seen, labels = batch
        loss = nn.functional.binary_cross_entropy_with_logits(network(seen)[:, 0].float(), labels)
        return loss, {"entropy": loss.item()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        assert not network.training
        if self.figures is not None:
            return {"right": self.figures.pop(0)}
        seen, labels = next(self.batches(999))
        return {"right": float(((network(seen)[:, 0] > 0) == (labels > 0.5)).float().mean())}


def recipe(**changes: Any) -> FitRecipe:
    return FitRecipe(**{"epochs": 6, "learning_rate": 0.05, "average": 0.5, "warmup": 2, **changes})


def quiet(done: int, total: int, text: str) -> None:
    pass


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(name == again and torch.equal(tensor, twin) for (name, tensor), (again, twin) in pairs)


class Killed(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_a_stopped_training_resumes_and_ends_with_the_same_weights(
    tmp_path: Path, optimizer: str, mixed_precision: bool
) -> None:
    how = recipe(optimizer=optimizer, mixed_precision=mixed_precision, largest_gradient=1.0)

    def stop(done: int, total: int, text: str) -> None:
        if done == 11:  # in the fourth epoch
            raise Killed

    undisturbed = fit(Line(), how, tmp_path / "one", CPU, quiet)
    with pytest.raises(Killed):
        fit(Line(), how, tmp_path / "two", CPU, stop)
    first_again: list[int] = []
    resumed = fit(Line(), how, tmp_path / "two", CPU, lambda done, *_: first_again.append(done))
    assert first_again[0] == 10
    assert same(undisturbed, resumed)
    histories = [json.loads((tmp_path / name / "history.json").read_text()) for name in ("one", "two")]
    assert histories[0] == histories[1]
    assert [line["epoch"] for line in histories[0]] == [1, 2, 3, 4, 5, 6]


def test_a_killed_process_leaves_a_checkpoint_from_which_training_resumes(tmp_path: Path) -> None:
    code = f"""
import sys, torch
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_fit import CPU, Line, fit, recipe
torch.set_num_threads(1)
def report(done, total, text):
    print(done, flush=True)
    if done == 5:
        sys.stdin.read()
fit(Line(), recipe(), Path({str(tmp_path / "killed")!r}), CPU, report)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "5":
            break
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / FILE).is_file()
    resumed = fit(Line(), recipe(), tmp_path / "killed", CPU, quiet)
    assert same(resumed, fit(Line(), recipe(), tmp_path / "undisturbed", CPU, quiet))


def test_a_completed_training_returns_its_weights_at_once(tmp_path: Path) -> None:
    first = fit(Line(), recipe(), tmp_path, CPU, quiet)

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    assert same(first, fit(Line(), recipe(), tmp_path, CPU, never))


def test_training_ends_without_improvement_and_returns_the_best_weights(tmp_path: Path) -> None:
    seen: list[int] = []
    how = recipe(epochs=50, patience=3)
    task = Line([0.1, 0.5, 0.9, 0.2, 0.9, 0.3, 1.0])
    best = fit(task, how, tmp_path, CPU, lambda done, *_: seen.append(done))
    assert seen[-1] == 6 * 3
    upto = fit(Line([0.1, 0.2, 0.3]), recipe(epochs=3, schedule="constant", warmup=0), tmp_path / "three", CPU, quiet)
    again = Line([0.1, 0.2, 0.9, 0.0])
    cut = fit(again, recipe(epochs=4, schedule="constant", warmup=0), tmp_path / "four", CPU, quiet)
    assert same(upto, cut)
    assert not same(upto, best)


def test_frozen_weights_are_neither_changed_nor_stored(tmp_path: Path) -> None:
    before = Line().network[0].weight.clone()
    trained = fit(Line(), recipe(), tmp_path, CPU, quiet)
    assert torch.equal(trained.get_submodule("0").weight, before)
    assert not any(name.endswith("/0.weight") for name in load_file(tmp_path / FILE))


def test_a_checkpoint_of_another_training_is_refused_with_the_cure(tmp_path: Path) -> None:
    fit(Line(), recipe(), tmp_path, CPU, quiet, "one split")
    with pytest.raises(CheckpointError, match=r"training\.safetensors is of another training.*--restart"):
        fit(Line(), recipe(), tmp_path, CPU, quiet, "another split")
    with pytest.raises(CheckpointError, match="of another training"):
        fit(Line(), recipe(learning_rate=0.1), tmp_path, CPU, quiet, "one split")


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all, but long enough to have a header"])
def test_a_damaged_checkpoint_is_refused_with_the_cure(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cannot be read as a checkpoint.*--restart"):
        fit(Line(), recipe(), tmp_path, CPU, quiet)
    save_file({"x": torch.zeros(1)}, tmp_path / FILE)
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        fit(Line(), recipe(), tmp_path, CPU, quiet)


def test_a_loss_of_nan_ends_the_training_with_the_cure(tmp_path: Path) -> None:
    class Broken(Line):
        def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
            loss, terms = super().loss(network, batch)
            return loss * float("nan"), terms

    with pytest.raises(TrainingError, match=r"loss of epoch 1 is nan.*learning_rate"):
        fit(Broken(), recipe(), tmp_path, CPU, quiet)


def test_loss_rate_and_figures_are_written_for_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(Line(), recipe(), tmp_path, CPU, quiet)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"loss/sum", "loss/entropy", "learning_rate", "validation/right"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("loss/sum")] == list(range(1, 19))


def test_tensorboard_keeps_every_finished_epoch_when_training_resumes(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def stop(done: int, total: int, text: str) -> None:
        if done == 11:  # in the fourth epoch
            raise Killed

    with pytest.raises(Killed):
        fit(Line(), recipe(), tmp_path, CPU, stop)
    fit(Line(), recipe(), tmp_path, CPU, quiet)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss/sum")] == list(range(1, 19))
    assert [event.step for event in board.Scalars("validation/right")] == [3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize("strange", [float("nan"), float("inf")])
def test_a_validation_figure_of_nan_is_never_the_best_and_is_reported(tmp_path: Path, strange: float) -> None:
    lines: list[str] = []
    task = Line([strange, 0.5, strange, strange, strange, 0.9])
    how = recipe(epochs=50, patience=3, schedule="constant", warmup=0)
    best = fit(task, how, tmp_path / "strange", CPU, lambda _, __, text: lines.append(text))
    assert len(task.figures or []) == 1, "patience counts looks without a number"
    assert "the last right is not a number" in lines[3]
    assert "best right 0.500" in lines[-1]
    plain = fit(Line([0.1, 0.5]), recipe(epochs=2, schedule="constant", warmup=0), tmp_path / "plain", CPU, quiet)
    assert same(best, plain)

    def no_number(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    history = json.loads((tmp_path / "strange" / "history.json").read_text(), parse_constant=no_number)
    assert [line["validation"]["right"] for line in history] == [None, 0.5, None, None, None]


def test_a_training_without_validation_figures_ends_by_its_patience_and_reports_what_to_do(tmp_path: Path) -> None:
    task = Line([float("nan")] * 9)
    for _ in range(2):
        with pytest.raises(TrainingError, match=r"gave a right that is a number.*more validation images"):
            fit(task, recipe(epochs=9, patience=2), tmp_path, CPU, quiet)
    assert len(task.figures or []) == 7


def test_patience_ends_no_training_before_its_first_validation(tmp_path: Path) -> None:
    seen: list[int] = []
    task = Line([0.1, 0.2, 0.1])
    fit(task, recipe(epochs=20, patience=2, validate_every=3), tmp_path, CPU, lambda done, *_: seen.append(done))
    assert seen[-1] == 9 * 3


def test_the_random_initial_weights_soon_have_no_effect_on_the_average(tmp_path: Path) -> None:
    running, network = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.ones_(running.weight)
    nn.init.zeros_(network.weight)
    how = recipe(average=0.9999)
    for step in range(18):
        average_into(running, network, kept_of_average(how, step))
    assert running.weight.item() < 1e-6
    assert kept_of_average(how, 10**6) == 0.9999
    assert kept_of_average(recipe(average=0.0), 5) == 0
    task = Line()
    start = task.network.get_submodule("4").weight.clone()
    trained = fit(task, recipe(average=0.9999, epochs=20), tmp_path, CPU, quiet).get_submodule("4").weight
    last = task.network.get_submodule("4").weight
    assert (trained - last).norm() < (trained - start).norm()


def test_the_rate_rises_then_falls_by_its_schedule() -> None:
    cosine = [rate_factor(recipe(epochs=10, warmup=4), step, 2) for step in range(20)]
    assert cosine[:4] == [0.25, 0.5, 0.75, 1.0]
    assert cosine[3:] == sorted(cosine[3:], reverse=True)
    assert 0.01 <= cosine[-1] < 0.03
    steps = [rate_factor(recipe(schedule="step", warmup=0, step_epochs=2), step, 3) for step in range(18)]
    assert steps == pytest.approx([1.0] * 6 + [0.1] * 6 + [0.01] * 6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_a_training_on_a_gpu_resumes_with_its_gradient_scale(tmp_path: Path, mixed_precision: bool) -> None:
    cuda, how = torch.device("cuda"), recipe(mixed_precision=mixed_precision, largest_gradient=1.0)

    class OnCuda(Line):
        def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
            return super().loss(network, (batch[0].cuda(), batch[1].cuda()))

        def validate(self, network: nn.Module) -> dict[str, float]:
            return super().validate(copy.deepcopy(network).cpu())

    def stop(done: int, total: int, text: str) -> None:
        if done == 11:
            raise Killed

    undisturbed = fit(OnCuda(), how, tmp_path / "one", cuda, quiet)
    with pytest.raises(Killed):
        fit(OnCuda(), how, tmp_path / "two", cuda, stop)
    resumed = fit(OnCuda(), how, tmp_path / "two", cuda, quiet)
    for expected, found in zip(undisturbed.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(expected, found, rtol=1e-3, atol=1e-4)
