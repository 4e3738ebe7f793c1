"""The executor that hands batches to one actor of the cluster (executor.py)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dicom_io.errors import NotReadable
from models.types.reading import BundleId
from node.archive.digests import ArchivedFile
from node.reader.cluster.messages import Broken, NoAnswer, understood
from node.reader.decoding import archive_faults
from node.reader.executor import ExecutorLost, Hindered, OnReading, Outcome, Outcomes, Unreadable
from node.store.faults import describe_fault

STORE_IS_FULL = (
    "Ray's object store on this machine does not hold the images of a batch: start its Ray node with a larger "
    "--object-store-memory"
)


class DeviceFailures:
    """The images that a failed GPU held, of all actors: a first failure blames none of them, and a second over one of
    them does."""

    def __init__(self) -> None:
        self._seen: set[Path] = set()
        self._turn = threading.Lock()

    def blames(self, paths: Iterable[Path]) -> bool:
        """Enters a failure over these images; returns whether it is the second of one."""
        with self._turn:
            held = set(paths)
            again = bool(self._seen & held)
            self._seen |= held
            return again


@dataclass(frozen=True)
class _Asked:
    """A batch that an actor has.

    Attributes:
        places: of the images that it has, in their batch.
        answer: Ray's reference to the answer; None: the batch could not be handed over, because of `fault`.
        here: the outcomes of images that were not handed over.
    """

    places: Sequence[int]
    answer: Any
    here: Sequence[tuple[int, Outcome]]
    fault: Exception | None = None


@dataclass(frozen=True)
class RemoteExecutor:
    """Reads on the cluster, by one actor. This process only copies the files' bytes into Ray's object store.

    Attributes:
        actor: Ray's handle.
        ahead: as the actor says.
        timeout_s: a batch that takes longer has hung; less than the lease.
        failures: of the GPUs of all actors.
    """

    actor: Any
    bundle: BundleId
    ahead: bool
    timeout_s: float
    failures: DeviceFailures

    def begin(self, files: Sequence[ArchivedFile]) -> Outcomes:
        """See the protocol."""
        return partial(self._outcomes, files, self._asked(files))

    def _asked(self, files: Sequence[ArchivedFile]) -> _Asked:
        import ray

        places: list[int] = []
        images: list[Any] = []
        here: list[tuple[int, Outcome]] = []
        for place, file in enumerate(files):
            try:
                with archive_faults():
                    image = ray.put(file.read())
            except NotReadable as reason:
                here.append((place, Unreadable(str(reason))))
            except ray.exceptions.ObjectStoreFullError:
                here.append((place, Hindered(STORE_IS_FULL)))
            except OSError as fault:
                here.append((place, Hindered(describe_fault(fault))))
            except ray.exceptions.RayError as fault:
                return _Asked(places, None, here, fault)
            else:
                places.append(place)
                images.append(image)
        try:
            return _Asked(places, self.actor.read.remote(*images) if images else None, here)
        except ray.exceptions.RayError as fault:
            return _Asked(places, None, here, fault)

    def _outcomes(
        self, files: Sequence[ArchivedFile], asked: _Asked, on_reading: OnReading
    ) -> Iterator[tuple[int, Outcome]]:
        yield from asked.here
        if asked.fault is not None:
            raise ExecutorLost("the cluster takes no images", counts=False) from asked.fault
        if not asked.places:
            return
        on_reading(asked.places)
        answer = self._answer(asked.answer)
        if isinstance(answer, Broken):
            counts = not answer.device or self.failures.blames(files[place].path for place in asked.places)
            raise ExecutorLost(
                f"the actor {'lost its GPU' if answer.device else 'broke'}: {answer.place}", counts=counts
            )
        try:
            outcomes = understood(answer, len(asked.places), self.bundle)
        except NoAnswer as error:
            raise ExecutorLost(f"the actor's answer cannot be used: {error}", counts=True) from error
        for place, outcome in outcomes:
            yield asked.places[place], outcome

    def _answer(self, answer: Any) -> object:
        """Waits for an answer. An attempt counts where an image may have ended the actor."""
        import ray

        try:
            return ray.get(answer, timeout=self.timeout_s)
        except ray.exceptions.GetTimeoutError as error:
            raise ExecutorLost("the actor hangs: its lease would run out", counts=True) from error
        except ray.exceptions.ActorDiedError as error:
            raise ExecutorLost("the actor's process has ended, or its machine", counts=True) from error
        except ray.exceptions.RayTaskError as error:
            raise ExecutorLost(f"the actor failed: {type(error.cause).__name__}", counts=True) from error
        except ray.exceptions.RayError as error:
            raise ExecutorLost(f"the cluster lost the batch: {type(error).__name__}", counts=False) from error
