"""The seam between the queue and the models: what reads a batch of images, in this process or on other machines.

Claims, leases, attempts and storing are the same for every executor (images.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from models.types.reading import ImageReading
from node.archive.digests import ArchivedFile

BATCH_ON_A_CPU, BATCH_ON_A_GPU = 1, 16
"""Images of a batch, where the settings do not say how many."""


@dataclass(frozen=True)
class Read:
    """The image was read."""

    reading: ImageReading


@dataclass(frozen=True)
class Unreadable:
    """The image can never be read; the reason is a sentence for the report."""

    reason: str


@dataclass(frozen=True)
class Hindered:
    """A fault of the machine, and not of the image, which is tried again later."""

    reason: str


Outcome: TypeAlias = Read | Unreadable | Hindered

OnReading: TypeAlias = Callable[[Sequence[int]], None]
"""Called with the places of images in their batch before the models read them, and when one of the batch took long to
decode: their leases are renewed, and those of the batch that is begun meanwhile."""

Outcomes: TypeAlias = Callable[[OnReading], Iterator[tuple[int, Outcome]]]
"""Waits for a batch: the outcome of each image with its place in the batch, each once and in any order. Raises
ExecutorLost."""


class ExecutorLost(Exception):
    """The executor has ended, with the batches that it had begun.

    Attributes:
        counts: whether one of their images may be the cause, so that an attempt is counted for them.
    """

    def __init__(self, message: str, *, counts: bool) -> None:
        super().__init__(message)
        self.counts = counts


class Executor(Protocol):
    """Decodes images and has the models read them."""

    @property
    def ahead(self) -> bool:
        """Whether it takes one more batch, to decode it, while it reads another."""

    def begin(self, files: Sequence[ArchivedFile]) -> Outcomes:
        """Begins a batch."""
