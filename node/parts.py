"""The parts of a node, which `serve --only` runs in processes of their own, and the name of such a process."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from uuid import UUID

from models.errors import UserError


class Part(StrEnum):
    """What a process of a node does."""

    RECEIVE = "receive"
    """Listens for DICOM and HL7."""
    READ = "read"
    """Reads images: the only part with models."""
    REPORT = "report"
    """Writes reports, closes studies and does all else that is done from time to time."""
    DELIVER = "deliver"
    """Sends results, and tells webhooks of events."""
    WEB = "web"
    """Serves the page, /api/v1 and DICOMweb."""


EVERYTHING = frozenset(Part)
WORKERS = {Part.READ: "reader", Part.REPORT: "reporter"}
"""The parts that claim jobs, as their leases name them."""


class NoSuchPart(UserError):
    """`serve --only` names something that is no part."""


def parts_of(words: Iterable[str]) -> frozenset[Part]:
    """The parts that are named, one or several in a word, with commas between them; all of them if none is.

    Raises:
        NoSuchPart
    """
    names = [name.strip() for word in words for name in word.split(",")]
    unknown = [name for name in names if name not in list(Part)]
    if unknown:
        raise NoSuchPart(f"--only {unknown[0]}: there is no such part. Parts are {', '.join(Part)}.")
    return frozenset(map(Part, names)) or EVERYTHING


def process_name(host: str, drawn: UUID) -> str:
    """The name of a process: no other has had it. `host`: the machine's, for people."""
    return f"{host}-{drawn.hex[:8]}"


def worker_name(ae_title: str, part: Part, process: str) -> str:
    """The name in leases of what a process does, one of WORKERS. Without the name of a process (SQLite: nobody else
    does it) it is the same after a restart."""
    name = f"{ae_title}/{WORKERS[part]}"
    return f"{name}@{process}" if process else name


def life_of(process: str) -> str:
    """The lock that a process holds until it ends."""
    return f"process {process}"
