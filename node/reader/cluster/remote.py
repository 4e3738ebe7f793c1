"""The executor that hands batches to one actor of the cluster (executor.py)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dicom_io.errors import NotReadable
from models.types.reading import BundleId
from node.archive.digests import ArchivedFile
from node.reader.cluster.connection import NoCluster
from node.reader.cluster.deaths import Death, death_of
from node.reader.cluster.messages import Broken, NoAnswer, understood
from node.reader.decoding import archive_faults
from node.reader.executor import ExecutorLost, Hindered, OnReading, Outcome, Outcomes, Unreadable
from node.store.faults import describe_fault

STORE_IS_FULL = (
    "Ray's object store on this machine does not hold the images of a batch: start its Ray node with a larger "
    "--object-store-memory"
)


_MOST_REMEMBERED = 10_000


class MachineFailures:
    """The images that a machine or a GPU held when it failed, of all actors: a first failure blames none of them, and
    a second over one of them does. Remembers the last 10,000."""

    def __init__(self) -> None:
        self._seen: dict[Path, None] = {}
        self._turn = threading.Lock()

    def blames(self, paths: Iterable[Path]) -> bool:
        """Enters a failure over these images; returns whether it is the second of one."""
        with self._turn:
            again = False
            for path in paths:
                again |= path in self._seen
                self._seen.pop(path, None)
                self._seen[path] = None  # the newest last
            while len(self._seen) > _MOST_REMEMBERED:
                del self._seen[next(iter(self._seen))]
            return again

    def answered(self, paths: Iterable[Path]) -> None:
        """These images were held, and nothing failed."""
        with self._turn:
            for path in paths:
                self._seen.pop(path, None)


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
        failures: of the machines and GPUs of all actors.
    """

    actor: Any
    bundle: BundleId
    ahead: bool
    timeout_s: float
    failures: MachineFailures
    _held: list[Path] = field(default_factory=list, init=False)
    """The images of all batches that the actor has: the one that it decodes may end it too."""

    def begin(self, files: Sequence[ArchivedFile]) -> Outcomes:
        """See the protocol."""
        self._held.extend(file.path for file in files)
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
        if asked.places:
            on_reading(asked.places)
            answer = self._answer(asked.answer)
            if isinstance(answer, Broken) and answer.device:
                raise self._failed(f"the actor lost its GPU: {answer.place}")
            if isinstance(answer, Broken):
                raise ExecutorLost(f"the actor broke: {answer.place}", counts=True)
            try:
                outcomes = understood(answer, len(asked.places), self.bundle)
            except NoAnswer as error:
                raise ExecutorLost(f"the actor's answer cannot be used: {error}", counts=True) from error
            for place, outcome in outcomes:
                yield asked.places[place], outcome
        del self._held[: len(files)]
        self.failures.answered(file.path for file in files)

    def _failed(self, message: str) -> ExecutorLost:
        return ExecutorLost(message, counts=self.failures.blames(self._held))

    def _answer(self, answer: Any) -> object:
        """Waits for an answer. An attempt counts where an image may have ended the actor."""
        import ray

        try:
            return ray.get(answer, timeout=self.timeout_s)
        except ray.exceptions.GetTimeoutError as error:
            raise ExecutorLost("the actor hangs: its lease would run out", counts=True) from error
        except ray.exceptions.RayTaskError as error:
            ours = not isinstance(error.cause, ray.exceptions.RayError)  # or an image did not come over the network
            raise ExecutorLost(f"the actor failed: {type(error.cause).__name__}", counts=ours) from error
        except ray.exceptions.RayActorError as error:
            raise self._lost() from error
        except ray.exceptions.RayError as error:
            raise ExecutorLost(f"the cluster lost the batch: {type(error).__name__}", counts=False) from error

    def _lost(self) -> ExecutorLost:
        try:
            death = death_of(self.actor)
        except NoCluster as error:
            return ExecutorLost(str(error), counts=False)
        message = f"the actor has gone: {death.value}"
        if death is Death.MACHINE:
            return self._failed(message)
        return ExecutorLost(message, counts=death is Death.PROCESS)
