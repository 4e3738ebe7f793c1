"""Why an actor has ended: Ray's error does not say it, and may come before the cluster knows.

The table of actors says it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from typing import Any

from node.reader.cluster.connection import NoCluster, hosts

_KNOWN_S = 60.0
"""With Ray's own settings a cluster knows after 14 s that Ray's process of a machine has ended, and after 64 s that a
machine is silent (both measured): nothing else takes so long."""
_FOLLOWS_S = 3.0
"""When the processes of a machine are all ended, as at its shutdown, an actor may be ended before Ray's own process."""
_LOOK_EVERY_S = 0.2


class Death(Enum):
    """What has ended an actor."""

    PROCESS = "its process has ended"
    MACHINE = "its machine is lost"
    ON_PURPOSE = "its machine, or the actor, was ended on purpose"


def death_of(actor: Any) -> Death:
    """Why the actor of this handle has ended. Asks until the cluster knows, at most a minute.

    An actor that is there by then, and is not reached, counts as lost with its machine.

    Raises:
        NoCluster: the cluster does not answer.
    """
    from ray._private.state import state  # Ray's public functions ask its dashboard, which is off

    found: dict[str, Any] = {}

    def has_ended() -> bool:
        found.update(state.actor_table(actor._actor_id.hex()))
        return found.get("State") == "DEAD"

    try:
        if not _within(_KNOWN_S, has_ended):
            return Death.MACHINE
    except Exception as error:  # whatever Ray raises here is about the cluster
        raise NoCluster("the Ray cluster does not answer any more") from error
    return _death(found["DeathCause"], found["Address"]["NodeID"])


def _death(cause: Any, machine: str) -> Death:
    """`cause`: ActorDeathCause of Ray's common.proto; `machine`: on which the actor was."""
    from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo  # type: ignore[attr-defined]

    if cause.WhichOneof("context") != "actor_died_error_context":  # as that its machine's memory was full
        return Death.PROCESS
    died = cause.actor_died_error_context
    if died.reason == ActorDiedErrorContext.NODE_DIED:
        unexpected = died.node_death_info.reason in (NodeDeathInfo.UNSPECIFIED, NodeDeathInfo.UNEXPECTED_TERMINATION)
        return Death.MACHINE if unexpected else Death.ON_PURPOSE
    if died.reason not in (ActorDiedErrorContext.WORKER_DIED, ActorDiedErrorContext.UNSPECIFIED):
        return Death.ON_PURPOSE
    return Death.ON_PURPOSE if _within(_FOLLOWS_S, lambda: _has_ended(machine)) else Death.PROCESS


def _has_ended(machine: str) -> bool:
    return machine not in {host.node_id for host in hosts()}


def _within(seconds: float, is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True
