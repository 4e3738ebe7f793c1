"""Types for retrieving studies from a source, independent of the protocol."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dicom_io.errors import NoRoom

Progress = Callable[[int], None]
"""Called with the number of instances received so far."""


@dataclass(frozen=True)
class HeldInstance:
    """An instance that a source holds; `sop_class_uid` is empty if the source does not state it."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str


@dataclass(frozen=True)
class Retrieved:
    """The result of a retrieval.

    Attributes:
        arrived: number of instances.
        files: the files of the instances; empty for C-MOVE, which sends them to the node's listener.
        faults: why other instances were not received, one sentence each.
    """

    arrived: int
    files: tuple[Path, ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class FetchLimits:
    """Limits for retrieving from a source.

    Attributes:
        max_bytes: the largest instance.
        min_free_bytes: retrieving stops when less space is free on the disk of the target folder.
    """

    max_bytes: int = 1 << 30
    min_free_bytes: int = 0

    def has_room(self, folder: Path) -> bool:
        """Whether the disk of `folder` has room for another instance."""
        return shutil.disk_usage(folder).free >= self.min_free_bytes

    def no_room(self, folder: Path) -> NoRoom:
        """The error for a disk without room."""
        return NoRoom(
            f"Fetching stopped: the disk of {folder} is nearly full: {self.min_free_bytes // 1_000_000} MB must "
            "stay free (receiver.min_free_mb). No instance was given to the node: free some space, or set TMPDIR to a "
            "folder on a larger disk, and pull again."
        )


class Source(Protocol):
    """A source from which studies can be retrieved. Each method may raise Unreachable or Rejected."""

    def studies(self, keyword: str, value: str) -> list[str]:
        """The Study Instance UIDs of the studies whose attribute `keyword` is `value`."""

    def instances(self, study_instance_uid: str) -> list[HeldInstance]:
        """All instances that the source holds of a study."""

    def retrieve(
        self, study_instance_uid: str, wanted: Sequence[HeldInstance], folder: Path, progress: Progress
    ) -> Retrieved:
        """Puts the instances into `folder`, or makes the source send them to the node.

        Raises:
            NoRoom: the disk of `folder` is nearly full.
        """
