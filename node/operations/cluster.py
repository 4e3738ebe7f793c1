"""The Ray cluster: whether it can be used (for `check`), and what its actors do (for `status` and metrics)."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.ray import Ray
from config.settings import Settings
from models.types.words import counted
from node.operations.machine import CheckResult
from node.reader.cluster.connection import ClusterHost, NoCluster, connected, hosts
from node.store.states import JobKind, JobState
from node.store.tables import ActorPoolState, Job

_LOOKS_S = 60.0
"""Time for one connection, with the start of its process."""
_NO_TOKEN = "not-the-token-of-any-cluster"
_LETS_EVERYBODY_IN = (
    "{address} lets in whoever has no token: anybody who reaches it runs code on its machines and on this node. "
    "Start each of its nodes with RAY_AUTH_MODE=token (docs/ray.md)"
)


def cluster_answers(settings: Settings) -> CheckResult:
    """Whether the cluster lets this node in, nobody without its token, and has room for the actors. Connects
    twice, each time in a process of its own."""
    ray = settings.ray
    found = _looked(ray)
    if isinstance(found, str):
        return CheckResult("Ray", False, found)
    with tempfile.NamedTemporaryFile("w", suffix="-token") as other:
        other.write(_NO_TOKEN)
        other.flush()
        if not isinstance(_looked(ray.model_copy(update={"token_file": Path(other.name)})), str):
            return CheckResult("Ray", False, _LETS_EVERYBODY_IN.format(address=ray.address))
    room = sum(host.room(ray) for host in found)
    says = (
        f"{ray.address}: {counted(len(found), 'machine')} with {sum(host.gpus for host in found):g} GPUs and "
        f"{sum(host.cpus for host in found):g} CPUs, room for {counted(room, 'actor')}"
    )
    if room < ray.min_actors:
        return CheckResult("Ray", room > 0, f"{says}; ray.min_actors is {ray.min_actors}", warns=True)
    return CheckResult("Ray", True, says)


def _looked(settings: Ray) -> list[ClusterHost] | str:
    """The machines of the cluster, or why it cannot be used."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe(duplex=False)
    process = context.Process(target=_look, args=(its, settings), daemon=True)
    process.start()
    its.close()
    try:
        if not ours.poll(_LOOKS_S):
            return f"the Ray cluster at {settings.address} does not answer within {_LOOKS_S:.0f} s"
        found: list[ClusterHost] | str = ours.recv()
        return found
    except EOFError:
        return f"the Ray cluster at {settings.address} cannot be used: Ray ended the process that asked"
    finally:
        process.kill()
        process.join()
        ours.close()


def _look(answer: Connection, settings: Ray) -> None:
    try:
        with connected(settings):
            answer.send(hosts())
    except NoCluster as error:
        answer.send(str(error))


@dataclass(frozen=True)
class ActorsView:
    """A node's actors on the cluster.

    Attributes:
        worker: the node's reader.
        actors, wanted: how many read or wait for images, and how many there should be.
        images: that they have.
        fault: why there are fewer than wanted; "" if nothing is known to be wrong.
    """

    worker: str
    actors: int
    wanted: int
    images: int
    fault: str

    @property
    def words(self) -> str:
        return f"{self.actors} of {counted(self.wanted, 'actor')}, with {counted(self.images, 'image')}"


def view_actors(session: Session) -> list[ActorsView]:
    """Of each node that reads on a cluster."""
    return list(_actors(session))


def _actors(session: Session) -> Iterator[ActorsView]:
    for state in session.scalars(select(ActorPoolState).order_by(ActorPoolState.worker)):
        held = select(func.count()).where(
            Job.kind == JobKind.READ_IMAGE, Job.worker == state.worker, Job.state == JobState.RUNNING
        )
        yield ActorsView(state.worker, state.actors, state.wanted, session.scalar(held) or 0, state.fault)
