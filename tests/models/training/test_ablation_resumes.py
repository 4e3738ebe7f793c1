"""An ablation study that is killed continues when it is started again, and gives the results of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from drawn_cases import drawn_cases

from models.datasets.case import Cases
from models.training.ablation import Contender, any_recipe, contend, make_folds

pytestmark = pytest.mark.slow

CASES = Cases(tuple(drawn_cases(18)), ())
EPOCHS, STEPS, TEST = 3, 6, 6  # of 18 cases in three folds: 6 to train on by ones
RECIPE = """
kind = "classifier"
[fit]
epochs = 3
learning_rate = 1e-2
[model]
kind = "efficientnet"
mode = "whole"
backbone = "test_efficientnet"
image_px = 64
frame_px = 64
[task]
batch = 2
[calibration]
method = "none"
"""
Seen = list[tuple[int, int, str]]


def run(folder: Path, seen: Seen, killed_at: str = "") -> list[Contender]:
    """The study of one recipe over three folds; it kills its own process at the second step of `killed_at`."""
    (folder / "tiny.toml").write_text(RECIPE, encoding="utf-8")

    def progress(done: int, total: int, text: str) -> None:
        seen.append((done, total, text))
        if killed_at and sum(killed_at in line for _, _, line in seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    recipe = any_recipe(str(folder / "tiny.toml"))
    return contend([recipe], CASES, make_folds([recipe], CASES, 3), folder / "out", {}, torch.device("cpu"), progress)


def results(folder: Path) -> dict[str, bytes]:
    """The weights and the observations of all folds."""
    paths = [*folder.rglob("classifier-*.safetensors"), *folder.rglob("observations.jsonl")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_study_killed_within_a_training_continues_from_its_checkpoint_with_the_same_results(tmp_path: Path) -> None:
    at_once, in_two = tmp_path / "at-once", tmp_path / "in-two"
    at_once.mkdir()
    in_two.mkdir()
    whole: Seen = []
    run(at_once, whole)

    code = f"import sys, pathlib, {__name__} as study; study.run(pathlib.Path(sys.argv[1]), [], sys.argv[2])"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    killed = subprocess.run(
        [sys.executable, "-c", code, str(in_two), "fold 2 of 3: epoch 3"], env={**os.environ, "PYTHONPATH": path}
    )
    assert killed.returncode == -signal.SIGKILL

    after: Seen = []
    run(in_two, after)
    assert after[0][2].startswith("tiny, fold 2 of 3: epoch 3 of 3")
    assert not [text for _, _, text in after if "fold 1 of 3" in text]
    assert results(in_two) == results(at_once)
    assert len(results(at_once)) == 6


def test_the_remaining_time_is_estimated_from_the_steps_of_this_call_over_the_whole_study(tmp_path: Path) -> None:
    seen: Seen = []
    run(tmp_path, seen)
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert {total for _, total, _ in seen} == {3 * (EPOCHS * 6 + TEST)}
    assert seen[-1][0] == seen[-1][1]

    (tmp_path / "out" / "tiny" / "fold-3" / "evaluation" / "observations.jsonl").unlink()
    again: Seen = []
    run(tmp_path, again)
    assert [(done, total) for done, total, _ in again] == [(done, TEST) for done in range(1, TEST + 1)]
