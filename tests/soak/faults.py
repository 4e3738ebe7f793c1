"""Real faults of the machine and of peers: each begins on entering its context and ends on leaving it."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from postgresql import PostgreSQL
from ray_cluster import RayCluster
from running import RunningNode
from sqlalchemy import select

from dicom_io.errors import DestinationError
from dicom_io.network.peer import Peer
from dicom_io.network.scu import echo
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import Instance, Job, Study


@dataclass
class World:
    """What the faults are done to.

    Attributes:
        orthanc: the PACS's process id.
        clock: the seconds in this file are added to the node's wall clock (serve.py).
        is_small: whether the data folder is a file system of its own, so small that it can be filled.
        postgresql: the server of the queue, if it is not in SQLite.
        ray: the cluster that reads, if the node does not itself.
    """

    node: RunningNode
    orthanc: int
    clock: Path
    is_small: bool
    postgresql: PostgreSQL | None
    ray: RayCluster | None
    chance: random.Random
    says: Callable[[str], None]


Fault = Callable[[World], AbstractContextManager[None]]


@contextmanager
def a_pacs_that_hangs(world: World) -> Iterator[None]:
    os.kill(world.orthanc, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(world.orthanc, signal.SIGCONT)


@contextmanager
def a_queue_held_by_another_program(world: World) -> Iterator[None]:
    with world.node.database() as session:
        held = "BEGIN IMMEDIATE" if world.postgresql is None else "LOCK TABLE study, job, delivery"
        session.connection().exec_driver_sql(held)
        yield


@contextmanager
def a_database_that_crashes(world: World) -> Iterator[None]:
    assert world.postgresql is not None
    world.postgresql.crash_and_start()
    yield


@contextmanager
def a_full_disk(world: World) -> Iterator[None]:
    ballast = world.node.data_dir / "ballast"
    if world.is_small:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                world.says("the disk is full")
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


@contextmanager
def an_image_on_a_bad_sector(world: World) -> Iterator[None]:
    """Reading /proc/self/mem at its beginning fails with EIO, as a bad sector does."""
    with world.node.database() as session:
        waiting = select(Instance.path).join(Job, Job.instance_id == Instance.id)
        paths = session.scalars(waiting.where(Job.kind == JobKind.READ_IMAGE, Job.state == JobState.WAITING)).all()
    if not paths:
        yield
        return
    image = world.node.data_dir / world.chance.choice(paths)
    aside = image.with_suffix(".aside")
    image.rename(aside)
    image.symlink_to("/proc/self/mem")
    try:
        yield
    finally:
        image.unlink()
        aside.rename(image)


@contextmanager
def masks_that_are_gone(world: World) -> Iterator[None]:
    with world.node.database() as session:
        unreported = select(Instance.masks_path).join(Study).where(Study.state == StudyState.OPEN)
        paths = session.scalars(unreported.where(Instance.masks_path.is_not(None))).all()
    for path in paths[:1]:
        (world.node.data_dir / str(path)).unlink(missing_ok=True)
        world.says("the masks of one image are gone: `retry` must read it again")
    yield


@contextmanager
def connections_that_say_nothing(world: World) -> Iterator[None]:
    """Sixty connections: a third silent, a third with half an A-ASSOCIATE-RQ, a third sending byte by byte."""
    with ExitStack() as held:
        peers = []
        for number in range(60):
            try:
                peers.append(held.enter_context(socket.create_connection(("127.0.0.1", world.node.port), timeout=2)))
                if number % 3:
                    peers[-1].sendall(b"\x01\x00\x00\x00\x10\x00" + b"\x00" * 8)
            except OSError:  # the node is starting, or rejects them
                continue
        yield


@contextmanager
def probes_that_connect_and_close(world: World) -> Iterator[None]:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", world.node.port), timeout=2).close()
        except OSError:
            continue
    yield


@contextmanager
def few_descriptors(world: World) -> Iterator[None]:
    """The node may open only two more files and sockets than now."""
    process = world.node.process_id
    try:
        before = resource.prlimit(process, resource.RLIMIT_NOFILE)
        opened = len(list(Path(f"/proc/{process}/fd").iterdir()))
        resource.prlimit(process, resource.RLIMIT_NOFILE, (opened + 2, before[1]))
    except (ProcessLookupError, FileNotFoundError):  # it was just killed
        yield
        return
    try:
        yield
    finally:
        try:
            resource.prlimit(process, resource.RLIMIT_NOFILE, before)
        except ProcessLookupError:
            world.says("a node with few descriptors was killed meanwhile")


@contextmanager
def a_clock_set_back(world: World) -> Iterator[None]:
    world.clock.write_text("-3600")
    try:
        yield
    finally:
        world.clock.write_text("0")


@contextmanager
def a_killed_reader(world: World) -> Iterator[None]:
    for process in children(world.node.process_id):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    yield


@contextmanager
def a_killed_actor(world: World) -> Iterator[None]:
    assert world.ray is not None
    for actor in world.ray.actors()[:1]:
        with suppress(psutil.NoSuchProcess):
            actor.kill()
    yield


def children(process: int) -> list[int]:
    """The ids of a process's children; empty if it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def answers_a_sender(node: Peer) -> bool:
    """Whether an allowed sender gets an answer to a C-ECHO."""
    try:
        echo(node)
    except DestinationError:
        return False
    return True


FAULTS: dict[str, tuple[Fault, float]] = {
    "PACS hangs": (a_pacs_that_hangs, 15),
    "queue held by another program": (a_queue_held_by_another_program, 12),
    "PostgreSQL crashed": (a_database_that_crashes, 5),
    "full disk": (a_full_disk, 8),
    "image on a bad sector": (an_image_on_a_bad_sector, 20),
    "masks gone": (masks_that_are_gone, 1),
    "60 silent connections": (connections_that_say_nothing, 15),
    "300 connect and close": (probes_that_connect_and_close, 1),
    "few descriptors": (few_descriptors, 8),
    "clock set back by an hour": (a_clock_set_back, 20),
    "reader killed": (a_killed_reader, 1),
    "Ray actor killed": (a_killed_actor, 1),
}
"""By name: the fault, and for how many seconds it lasts."""
OF_POSTGRESQL, OF_RAY = frozenset({"PostgreSQL crashed"}), frozenset({"Ray actor killed"})


def possible(world: World) -> dict[str, tuple[Fault, float]]:
    """The faults that can be made there."""
    missing = (frozenset() if world.postgresql else OF_POSTGRESQL) | (frozenset() if world.ray else OF_RAY)
    return {name: fault for name, fault in FAULTS.items() if name not in missing}


def keep_failing(world: World, until: float, done: dict[str, int]) -> None:
    """Fault after fault, again and again, until the monotonic clock reaches `until`; counts them in `done`."""
    while time.monotonic() < until:
        for name, (fault, lasts_s) in possible(world).items():
            if time.monotonic() >= until:
                return
            with fault(world):
                time.sleep(lasts_s)
            done[name] = done.get(name, 0) + 1
