"""The number of threads that the reader reads with."""

from __future__ import annotations

import logging
import time

import pytest
import torch

from node.reader.threads import use_threads

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def three_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_number_that_is_set_is_used_and_nothing_is_measured(device: torch.device) -> None:
    use_threads(device, 2, lambda: pytest.fail("the clock was asked"))
    assert torch.get_num_threads() == 2


def test_nothing_is_measured_for_a_gpu() -> None:
    use_threads(GPU, None, lambda: pytest.fail("the clock was asked"))
    assert torch.get_num_threads() == 3


def test_what_was_measured_and_chosen_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        use_threads(CPU, None, time.perf_counter)
    [line] = caplog.messages
    assert line.startswith(f"reading with {torch.get_num_threads()} thread")
    assert torch.get_num_threads() in (1, 2, 3)
