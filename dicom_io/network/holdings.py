"""What a source holds, and what came of asking for it: the nouns of retrieving, by whatever protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Progress = Callable[[int], None]
"""Hears how many instances have come so far."""


@dataclass(frozen=True)
class HeldInstance:
    """An instance that a source says it holds; `sop_class_uid` is empty where it does not tell."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str


@dataclass(frozen=True)
class Retrieved:
    """What a source gave.

    Attributes:
        arrived: how many instances.
        files: them, where they came here and not to the node itself (C-MOVE).
        faults: why others did not come, each in one sentence.
    """

    arrived: int
    files: tuple[Path, ...] = ()
    faults: tuple[str, ...] = ()


class Source(Protocol):
    """Where studies can be fetched. Each may raise Unreachable or Rejected."""

    def studies(self, keyword: str, value: str) -> list[str]:
        """The Study Instance UIDs of the studies whose attribute `keyword` is `value`."""

    def instances(self, study_instance_uid: str) -> list[HeldInstance]:
        """All that the source holds of a study."""

    def retrieve(
        self, study_instance_uid: str, wanted: Sequence[HeldInstance], folder: Path, progress: Progress
    ) -> Retrieved:
        """Puts the instances into `folder`, or has them sent to the node."""
