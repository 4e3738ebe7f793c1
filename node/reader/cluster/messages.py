"""What the node and its actors on the cluster say to each other.

The node sends the bytes of files; an actor answers with texts, bytes and the frozen classes below and in executor.py.
Ray deserialises by cloudpickle: whoever is let into the cluster can run code on its machines and on the node
(docs/security.md). So what the node takes from an answer is checked for being an answer, not for being harmless.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from models.readings.reading_json import from_json, masks_of, to_json
from models.types.reading import BundleId, ImageReading
from node.reader.executor import Hindered, Outcome, Read, Unreadable


@dataclass(frozen=True)
class Host:
    """Where an actor runs: its machine's name in Ray, and its process there."""

    node_id: str
    address: str
    process: int


@dataclass(frozen=True)
class Ready:
    """An actor has loaded the models.

    Attributes:
        batch, gather_s: as loading.Loaded has them for the actor's device.
        ahead: whether it decodes a second batch while it reads one.
    """

    batch: int
    gather_s: float
    ahead: bool
    device: str


@dataclass(frozen=True)
class NotReady:
    """An actor cannot load the models, and why."""

    reason: str


@dataclass(frozen=True)
class Stored:
    """A reading as it is stored: its JSON and its masks (reading_json.py)."""

    reading: str
    masks: bytes


@dataclass(frozen=True)
class Broken:
    """The actor met an exception that is not the machine's: `place` in our code, without its message. It must be
    replaced. `device`: its GPU failed."""

    place: str
    device: bool


Answer: TypeAlias = tuple[tuple[int, Stored | Unreadable | Hindered], ...]
"""The outcome of each image of a batch, with its place."""


class NoAnswer(Exception):
    """What came is not the answer to what was asked."""


def told(outcomes: Sequence[tuple[int, Outcome]]) -> Answer:
    """The outcomes as an actor sends them."""
    return tuple(
        (
            place,
            Stored(json.dumps(to_json(outcome.reading)), masks_of(outcome.reading))
            if isinstance(outcome, Read)
            else outcome,
        )
        for place, outcome in outcomes
    )


def understood(answer: object, images: int, bundle: BundleId) -> list[tuple[int, Outcome]]:
    """The outcomes of a batch of so many images, read by this bundle.

    Raises:
        NoAnswer: an image is missing or there twice, or its reading is none, or is another bundle's.
    """
    if not isinstance(answer, tuple) or [place for place, _ in sorted(answer, key=_place)] != list(range(images)):
        raise NoAnswer("it does not answer for each image once")
    return [(place, _outcome(outcome, bundle)) for place, outcome in answer]


def _place(entry: object) -> int:
    if not (isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], int)):
        raise NoAnswer("it does not answer for each image once")
    return entry[0]


def _outcome(outcome: object, bundle: BundleId) -> Outcome:
    match outcome:
        case Stored(str(reading), bytes(masks)):
            return Read(_reading(reading, masks, bundle))
        case (Unreadable(str()) | Hindered(str())) as outcome:
            return outcome
    raise NoAnswer("an outcome is none of those that are known")


def _reading(reading: str, masks: bytes, bundle: BundleId) -> ImageReading:
    try:
        found = from_json(json.loads(reading), masks)
    except (ValueError, AttributeError) as error:
        raise NoAnswer("a reading is none") from error
    if found.bundle != bundle:
        raise NoAnswer(f"a reading is of the bundle {found.bundle}, and not of {bundle}")
    scores = (found.malignancy, *(score for each in found.findings for score in (each.malignancy, each.confidence)))
    if not all(isinstance(score, float | int) and math.isfinite(score) for score in scores):
        raise NoAnswer("a score is no finite number")
    return found
