"""What a source holds, and what came of asking for it: the nouns of retrieving, by whatever protocol."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dicom_io.errors import NoRoom

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


@dataclass(frozen=True)
class FetchLimits:
    """What may be fetched from a source.

    Attributes:
        max_bytes: the largest instance.
        min_free_bytes: fetching ends when less is free on the disk that is fetched to.
    """

    max_bytes: int = 1 << 30
    min_free_bytes: int = 0

    def has_room(self, folder: Path) -> bool:
        """Whether one more instance may be put into `folder`."""
        return shutil.disk_usage(folder).free >= self.min_free_bytes

    def no_room(self, folder: Path) -> NoRoom:
        """What is raised where there is none."""
        return NoRoom(
            f"Fetching stopped, for the disk of {folder} is nearly full: {self.min_free_bytes // 1_000_000} MB must "
            "stay free (receiver.min_free_mb). Nothing was given to the node: free some space, or set TMPDIR to a "
            "folder on a larger disk, and pull again."
        )


class Source(Protocol):
    """Where studies can be fetched. Each may raise Unreachable or Rejected."""

    def studies(self, keyword: str, value: str) -> list[str]:
        """The Study Instance UIDs of the studies whose attribute `keyword` is `value`."""

    def instances(self, study_instance_uid: str) -> list[HeldInstance]:
        """All that the source holds of a study."""

    def retrieve(
        self, study_instance_uid: str, wanted: Sequence[HeldInstance], folder: Path, progress: Progress
    ) -> Retrieved:
        """Puts the instances into `folder`, or has them sent to the node.

        Raises:
            NoRoom: the disk of `folder` is nearly full.
        """
