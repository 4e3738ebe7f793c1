"""The actors of this node on the Ray cluster: as many as the waiting images need, each replaced when it is lost.

One thread for each actor runs the reader's loop (images.py), so that no more images are claimed than the actors take:
for each the batch that it reads, and one more that it decodes meanwhile. An actor that is not needed any more, or whose
machine is drained, finishes its batch first.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, select

from config.settings import Settings
from models.bundles.bundle import Bundle
from models.types.words import counted
from node.logs import place_of
from node.reader.cluster.connection import ClusterHost, NoCluster, connected, draining, hosts
from node.reader.cluster.messages import Host, NotReady, Ready
from node.reader.cluster.remote import MachineFailures, RemoteExecutor
from node.reader.cluster.scale import Surplus, wanted_actors
from node.reader.executor import BATCH_ON_A_CPU, BATCH_ON_A_GPU, ExecutorLost
from node.reader.images import ImageReader, ReadingLimits
from node.store.changes import ChangeWatch
from node.store.database import Sessions, read_only
from node.store.states import JobKind, JobState
from node.store.tables import ActorPoolState, Job

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_SHARE_OF_LEASE = 0.9
"""A batch has this part of its lease: an actor that hangs is found before the lease runs out."""
_LONGEST_PAUSE_S = 60.0
_LOADS_S = 600.0
"""Time for an actor to load the models."""
_WAITS = "an actor waits for a free GPU or CPU of the cluster"


class _NotUsable(Exception):
    """An actor cannot be had now; the message says why."""


@dataclass(eq=False)
class _Slot:
    """The place of one actor.

    Attributes:
        stop: set when the actor is to finish its batch and end.
        node_id: the machine of its actor, as Ray names it; "" while there is none.
        batch: images that its actor reads at once; 0 until it has loaded the models.
        fault: why it has no actor, or none that reads.
    """

    number: int
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    node_id: str = ""
    batch: int = 0
    fault: str = ""


class ActorPool:
    """See the file's first lines.

    Args:
        bundle: the node's own, which the actors must have too.
        worker: the name in the leases.
        now: UTC seconds since the epoch.
    """

    def __init__(
        self, settings: Settings, bundle: Bundle, sessions: Sessions, worker: str, now: Callable[[], float]
    ) -> None:
        self._settings, self._ray = settings, settings.ray
        self._bundle, self._card = bundle.id, bundle.card_sha256
        self._sessions, self._worker, self._now = sessions, worker, now
        self._slots: list[_Slot] = []
        self._numbers = 0
        self._failures = MachineFailures()
        self._ended: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self._told: tuple[int, int, str] | None = None

    def run(self, stop: threading.Event) -> None:
        """Reads until `stop` is set or this process is ended.

        Raises:
            NoCluster: the cluster cannot be used now.
            OSError, SQLAlchemyError: a fault of the machine.
        """
        try:
            with connected(self._ray):
                log.info("connected with the Ray cluster")
                # Before the first claim: by it others know that no image ended this process (node/workers.py).
                self._tell(0, self._ray.min_actors, "")
                self._keep(stop)
        except NoCluster as error:
            log.error("the Ray cluster cannot be used: %s", error)
            self._tell(0, self._ray.min_actors, str(error))
            raise
        except BaseException:
            self._forget()
            raise
        self._forget()

    def _keep(self, stop: threading.Event) -> None:
        surplus = Surplus()
        with ChangeWatch(self._sessions, self._now) as changes:
            try:
                while not stop.wait(_LOOK_EVERY_S):
                    leaving = draining()
                    there = [host for host in hosts() if host.node_id not in leaving]
                    room = sum(host.room(self._ray) for host in there)
                    wanted = wanted_actors(self._ray, room, self._images(), self._batch())
                    self._drain(leaving)
                    surplus = surplus.seen(len(self._slots), wanted, time.monotonic())
                    while len(self._slots) < wanted:
                        self._open()
                    if surplus.is_over(time.monotonic()):
                        # One that has no actor first, as after its machine has gone.
                        self._close(min(self._slots, key=lambda slot: (slot.batch, -slot.number)))
                        surplus = Surplus()
                    self._tell(self._alive(), wanted, self._fault(there, wanted))
                    self._raise_if_one_failed()
                    if self._alive() == wanted == len(self._slots):
                        changes.wait(stop, None)
            finally:
                for slot in list(self._slots):
                    self._close(slot)

    def _images(self) -> int:
        """Images that wait or are read, as many as it takes to want every actor."""
        with read_only(self._sessions) as session:
            waiting = select(Job.id).where(
                Job.kind == JobKind.READ_IMAGE,
                Job.state.in_([JobState.WAITING, JobState.RUNNING]),
                Job.next_at <= self._now(),
            )
            return session.scalar(select(func.count()).select_from(waiting.limit(10_000).subquery())) or 0

    def _batch(self) -> int:
        """Of an actor, as it says once it has loaded the models."""
        guessed = self._settings.reader.batch or (BATCH_ON_A_GPU if self._ray.gpus_per_actor else BATCH_ON_A_CPU)
        return max((slot.batch for slot in self._slots if slot.batch), default=guessed)

    def _alive(self) -> int:
        return sum(slot.batch > 0 for slot in self._slots)

    def _fault(self, there: list[ClusterHost], wanted: int) -> str:
        if wanted < self._ray.min_actors:
            gpus = sum(host.gpus for host in there)
            return (
                f"the cluster ({counted(len(there), 'machine')}, {gpus:g} GPUs) has room for "
                f"{counted(wanted, 'actor')}, and ray.min_actors is {self._ray.min_actors}"
            )
        faults = [slot.fault for slot in self._slots if slot.fault]
        if _WAITS in faults and self._others_read():  # those of the same queue: its images are read
            faults = [fault for fault in faults if fault != _WAITS]
        return next(iter(faults), "")

    def _others_read(self) -> bool:
        """Whether other processes of this node have actors on the cluster."""
        there = select(ActorPoolState.worker).where(ActorPoolState.worker != self._worker, ActorPoolState.actors > 0)
        with read_only(self._sessions) as session:
            return session.scalar(there.limit(1)) is not None

    def _tell(self, actors: int, wanted: int, fault: str) -> None:
        """Stores what `status` shows, when it has changed: each commit wakes everybody who waits for one."""
        if (actors, wanted, fault) == self._told:
            return
        with self._sessions.begin() as session:
            session.merge(
                ActorPoolState(worker=self._worker, actors=actors, wanted=wanted, fault=fault, changed_at=self._now())
            )
        self._told = (actors, wanted, fault)

    def _forget(self) -> None:
        with self._sessions.begin() as session:
            session.execute(delete(ActorPoolState).where(ActorPoolState.worker == self._worker))

    def _raise_if_one_failed(self) -> None:
        if not self._ended.empty():
            raise self._ended.get()

    def _open(self) -> None:
        self._numbers += 1
        slot = _Slot(self._numbers)
        slot.thread = threading.Thread(target=self._occupy, args=(slot,), name=f"actor-{slot.number}", daemon=True)
        self._slots.append(slot)
        slot.thread.start()

    def _drain(self, leaving: frozenset[str]) -> None:
        for slot in [slot for slot in self._slots if slot.node_id in leaving]:
            log.info("actor %d: its machine is drained: it finishes its batch", slot.number)
            self._close(slot)

    def _close(self, slot: _Slot) -> None:
        """Its thread ends when its batch is read."""
        slot.stop.set()
        self._slots.remove(slot)

    def _occupy(self, slot: _Slot) -> None:
        """One actor after the other, until the slot is closed."""
        pause_s = 0.0
        try:
            while not slot.stop.wait(pause_s):
                began = time.monotonic()
                try:
                    self._run_actor(slot)
                except ExecutorLost as lost:
                    slot.fault = str(lost)
                    log.error("actor %d is lost: %s", slot.number, lost)
                except _NotUsable as error:
                    slot.fault = str(error)
                    log.error("actor %d cannot read: %s", slot.number, error)
                # One that ends soon after it began will end again.
                pause_s = 0.0 if time.monotonic() - began > _LONGEST_PAUSE_S else min(_LONGEST_PAUSE_S, 2 * pause_s + 1)
        except Exception as fault:  # noqa: BLE001 - ends the process, in its main thread
            log.error("actor %d: its thread ends: %s", slot.number, place_of(fault))
            self._ended.put(fault)

    def _run_actor(self, slot: _Slot) -> None:
        import ray

        from node.reader.cluster.actor import ReaderActor

        actor: Any = (
            ray.remote(ReaderActor)
            .options(
                num_gpus=self._ray.gpus_per_actor,
                num_cpus=self._ray.cpus_per_actor,
                max_concurrency=2,  # a batch, and the next one, which is decoded meanwhile
                max_restarts=0,  # by this pool, which gives the images back first
                max_task_retries=0,
            )
            .remote()
        )
        try:
            host: Host = self._answer(slot, actor.where.remote(), None, _WAITS)
            ready = self._answer(
                slot,
                actor.load.remote(
                    self._reader(), self._settings.receiver.max_image_pixels, self._card, self._settings.log_level
                ),
                _LOADS_S,
                "",
            )
            if isinstance(ready, NotReady):
                raise _NotUsable(f"on {host.address}: {ready.reason}")
            if not isinstance(ready, Ready):
                raise _NotUsable(f"on {host.address}: it does not say that it has loaded the models")
            log.info("actor %d reads on %s, with %s", slot.number, host.address, ready.device)
            slot.node_id, slot.batch, slot.fault = host.node_id, ready.batch, ""
            self._read(slot, actor, ready)
        except _Stopped:
            return
        finally:
            slot.node_id, slot.batch = "", 0
            ray.kill(actor)

    def _reader(self) -> Any:
        """The reader's settings for an actor: its threads are its share of the machine, not all of it."""
        reader = self._settings.reader
        threads = reader.threads or max(1, int(self._ray.cpus_per_actor))
        device = reader.device if self._ray.gpus_per_actor or reader.device != "auto" else "cpu"
        return reader.model_copy(update={"threads": threads, "device": device, "reference": None})

    def _read(self, slot: _Slot, actor: Any, ready: Ready) -> None:
        reader = self._settings.reader
        ImageReader(
            sessions=self._sessions,
            data_dir=self._settings.data_dir,
            executor=RemoteExecutor(actor, self._bundle, ready.ahead, _SHARE_OF_LEASE * reader.lease_s, self._failures),
            worker=self._worker,
            limits=ReadingLimits(
                batch=ready.batch, attempts=reader.attempts, lease_s=reader.lease_s, gather_s=ready.gather_s
            ),
            now=self._now,
        ).run(slot.stop)

    def _answer(self, slot: _Slot, asked: Any, within_s: float | None, meanwhile: str) -> Any:
        """Waits for an actor's answer.

        Raises:
            _NotUsable: there is none.
            _Stopped: the slot was closed before.
        """
        import ray

        began = time.monotonic()
        while not ray.wait([asked], timeout=1.0)[0]:
            if slot.stop.is_set():
                raise _Stopped
            if time.monotonic() - began > 10 and meanwhile:
                slot.fault = meanwhile
            if within_s is not None and time.monotonic() - began > within_s:
                raise _NotUsable(f"it does not load the models within {within_s:.0f} s")
        try:
            return ray.get(asked)
        except ray.exceptions.RayTaskError as error:
            raise _NotUsable(f"{type(error.cause).__name__}: is mammo-node of this version installed there?") from error
        except ray.exceptions.RayError as error:
            raise _NotUsable(f"its process ended before it could read ({type(error).__name__})") from error


class _Stopped(Exception):
    """The slot was closed before its actor could read."""
