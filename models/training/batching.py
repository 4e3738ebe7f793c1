"""Batches of training pictures that are made in threads, one batch ahead of the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Made = TypeVar("Made")


def made_ahead(make: Callable[[int], Made], numbers: Sequence[int], size: int) -> Iterator[list[Made]]:
    """The pictures of these numbers, in their order, `size` at a time.

    Args:
        make: makes the picture of a number; called in as many threads as torch has, so it has its own random generator.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        ahead: Iterator[Made] = iter(())
        for first in range(0, len(numbers), size):
            # map starts at once: the next batch is made while this one is trained on.
            now, ahead = ahead, pool.map(make, numbers[first : first + size])
            if first:
                yield list(now)
        if numbers:
            yield list(ahead)
