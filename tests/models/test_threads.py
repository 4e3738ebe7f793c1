"""The reader uses more threads only if they are faster, by what is measured on the machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from models.threads import ThreadTimes, measure_threads


class Clock:
    """A clock that a number of threads moves on as a machine would: `takes` says for how long."""

    def __init__(self, takes: Callable[[int], float]) -> None:
        self._takes = takes
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._takes(torch.get_num_threads())
        return self._now


@pytest.mark.parametrize(
    ("machine", "takes", "best"),
    [
        ("every thread has a core", lambda threads: 1 / threads, 4),
        ("two cores are free", lambda threads: 1 / min(threads, 2), 2),
        ("threads wait for one another", lambda threads: 0.1 * threads, 1),
        ("threads gain little", lambda threads: 1 - 0.05 * (threads > 1), 1),
    ],
)
def test_the_fewest_threads_are_used_that_are_not_much_slower_than_the_fastest(
    machine: str, takes: Callable[[int], float], best: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        times = measure_threads(Clock(takes))
        assert list(times.seconds) == [1, 2, 4]
        assert times.best == best, machine
        assert torch.get_num_threads() == 4, "measuring changes nothing"
    finally:
        torch.set_num_threads(before)


def test_on_a_machine_of_one_core_there_is_nothing_to_choose() -> None:
    assert ThreadTimes({1: 0.1}).best == 1
