"""How many threads the models read fastest with on this machine, measured as it is now."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

WITHIN = 1.2
"""More threads are used only if they are so much faster: they take cores from other programs."""
_BUDGET_S = 1.0
_FEWEST, _MOST = 3, 15
"""Turns of each number of threads."""


@dataclass(frozen=True)
class ThreadTimes:
    """What was measured.

    Attributes:
        seconds: the median time of the same work, by the number of threads, fewest first.
    """

    seconds: dict[int, float]

    @property
    def best(self) -> int:
        """The fewest threads that are not much slower (`WITHIN`) than the fastest."""
        fastest = min(self.seconds.values())
        return next(threads for threads, time in self.seconds.items() if time <= WITHIN * fastest)


def measure_threads(clock: Callable[[], float]) -> ThreadTimes:
    """Times a few layers such as the models have with 1, 2, 4, … threads, up to as many as torch uses by itself.

    The numbers take turns, so that a load that comes and goes meets all of them. It takes about a second, longer on a
    machine that is so busy that even `_FEWEST` turns do.

    Args:
        clock: returns seconds of wall time from any origin.
    """
    usual = torch.get_num_threads()
    candidates = _candidates(usual)
    work = _work()
    times: dict[int, list[float]] = {threads: [] for threads in candidates}
    began = clock()
    try:
        for turn in range(_MOST):
            for threads in candidates:
                torch.set_num_threads(threads)
                work()
                started = clock()
                work()
                times[threads].append(clock() - started)
            if turn + 1 >= _FEWEST and clock() - began > _BUDGET_S:
                break
    finally:
        torch.set_num_threads(usual)
    return ThreadTimes({threads: statistics.median(of) for threads, of in times.items()})


def _candidates(most: int) -> Sequence[int]:
    powers = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*powers, most]


def _work() -> Callable[[], object]:
    """Convolutions like the detector's, about 1.2 GFLOP."""
    layers = nn.Sequential(
        nn.Conv2d(32, 64, 3, padding=1), nn.SiLU(), nn.Conv2d(64, 64, 3, padding=1), nn.SiLU(), nn.Conv2d(64, 32, 1)
    )
    layers = layers.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    picture = torch.zeros(1, 32, 144, 88).contiguous(memory_format=torch.channels_last)
    return lambda: layers(picture)
