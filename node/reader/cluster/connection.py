"""The connection to the Ray cluster: its environment, and what is wrong when there is none.

Ray reads its security from variables of the environment, when it is imported: so only processes that were started for
it connect (the reader's, and one that `check` starts). They never run code that others upload (no runtime_env), and
the address, the token and the certificates are those of the settings alone.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.ray import Ray

_ANSWERS_S = 5.0
"""Time for the head to take a connection; Ray itself would try for two minutes."""
_TRIES = 5
"""How often Ray asks the head, once a second, before it gives up."""
_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


class NoCluster(OSError):
    """The cluster cannot be used now: a fault of the machine, and of no image. The message is one sentence, with what
    to do."""


@dataclass(frozen=True)
class ClusterHost:
    """A machine of the cluster, with what Ray may give away there."""

    node_id: str
    cpus: float
    gpus: float

    def room(self, settings: Ray) -> int:
        """How many actors it has room for, if nothing else runs there."""
        by_cpus = int((self.cpus + 1e-6) // settings.cpus_per_actor)
        if not settings.gpus_per_actor:
            return by_cpus
        # An actor with a share of a GPU never has shares of two.
        if settings.gpus_per_actor < 1:
            by_gpus = int(self.gpus) * int((1 + 1e-6) // settings.gpus_per_actor)
        else:
            by_gpus = int((self.gpus + 1e-6) // settings.gpus_per_actor)
        return min(by_cpus, by_gpus)


@contextmanager
def connected(settings: Ray) -> Iterator[None]:
    """This process is a driver of the cluster inside the block. Once in a process.

    Raises:
        NoCluster: it is not reached, lets nobody in with this token or these certificates, or is another version.
    """
    _reach(settings)
    _set_variables(settings)
    import ray

    try:
        ray.init(address=settings.address, log_to_driver=False, configure_logging=False, namespace="mammo-node")
    except SystemExit as error:  # Ray ends the process that finds no head
        raise NoCluster(f"the Ray cluster at {settings.address} does not answer") from error
    except Exception as error:  # whatever Ray raises here is about the cluster
        raise NoCluster(_in_words(settings, error)) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(
            signal.SIGTERM, lambda *_: sys.exit(0)
        )  # Ray's own prints a stack; its actors end with this process
    try:
        yield
    finally:
        ray.shutdown()


def hosts() -> list[ClusterHost]:
    """The machines of the cluster that are alive.

    Raises:
        NoCluster: the cluster does not answer any more.
    """
    import ray

    try:
        nodes = ray.nodes()
    except Exception as error:  # whatever Ray raises here is about the cluster
        raise NoCluster("the Ray cluster does not answer any more") from error
    return [
        ClusterHost(node["NodeID"], node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in nodes
        if node["Alive"]
    ]


def draining() -> frozenset[str]:
    """The machines that are to be taken away (`ray drain-node`, or a cluster's autoscaler): no actor begins there."""
    from ray._private.state import state  # Ray has no public function for it

    return frozenset(state.get_draining_nodes())


def _reach(settings: Ray) -> None:
    """Asks for a connection, and shakes hands by TLS: Ray would say nothing of either."""
    for name, path in _files(settings):
        try:
            path.read_bytes()
        except OSError as error:
            raise NoCluster(f"{name}: {path} cannot be read: {error.strerror}") from error
    try:
        with socket.create_connection((settings.host, settings.port), timeout=_ANSWERS_S) as connection:
            if settings.tls is not None:
                context = ssl.create_default_context(cafile=settings.tls.ca_file)
                context.load_cert_chain(settings.tls.certificate, settings.tls.key)
                context.set_alpn_protocols(["h2"])
                context.wrap_socket(connection, server_hostname=settings.host).close()
    except ssl.SSLError as error:
        raise NoCluster(
            f"the Ray cluster at {settings.address}: TLS fails: {error.reason or error}. "
            "Compare ray.tls with the RAY_TLS_* files of the head"
        ) from error
    except OSError as error:
        raise NoCluster(
            f"the Ray cluster at {settings.address} is not reached: {error.strerror or error}. Start its head, or mend "
            "ray.address"
        ) from error


def _files(settings: Ray) -> Iterator[tuple[str, Path]]:
    if settings.token_file is not None:
        yield "ray.token_file", settings.token_file
    if settings.tls is not None:
        yield "ray.tls.certificate", settings.tls.certificate
        yield "ray.tls.key", settings.tls.key
        yield "ray.tls.ca_file", settings.tls.ca_file


def _set_variables(settings: Ray) -> None:
    """Sets what Ray reads when it is imported. What this process inherited does not count."""
    os.environ.update(
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN="",  # it would go before the file
        RAY_AUTH_TOKEN_PATH=str(settings.token_file),
        RAY_USE_TLS="0" if settings.tls is None else "1",
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",  # started by `uv run`, Ray would upload the working folder
        RAY_BACKEND_LOG_LEVEL="error",
        RAY_NUM_REDIS_GET_RETRIES=str(_TRIES),
        # Ray replaces a loopback address by the machine's own, and listens there, unless it is told that there is no
        # other machine.
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0" if settings.is_local else "1",
    )
    if settings.tls is not None:
        os.environ.update(
            RAY_TLS_SERVER_CERT=str(settings.tls.certificate),
            RAY_TLS_SERVER_KEY=str(settings.tls.key),
            RAY_TLS_CA_CERT=str(settings.tls.ca_file),
        )


def _in_words(settings: Ray, error: Exception) -> str:
    words = str(error)
    at = f"the Ray cluster at {settings.address}"
    if "Version mismatch" in words:
        versions = _VERSIONS.findall(words)
        if len(versions) == 2:
            (ray_there, python_there), (ray_here, python_here) = versions
            return (
                f"{at} runs Ray {ray_there} with Python {python_there}, this node Ray {ray_here} with Python "
                f"{python_here}: install the same on all machines"
            )
    if "Failed to connect to Ray cluster" in words:
        return (
            f"{at} takes connections, but does not let this node in: ray.token_file must have the cluster's token, and "
            "ray.tls be set as the cluster is (docs/ray.md)"
        )
    if "node_ip_address" in words or "raylet" in words.lower() or "Raylet" in words:
        return f"no Ray node of {at} runs on this machine: start one beside mammo-node (docs/ray.md)"
    first = words.strip().partition("\n")[0]
    return f"{at} cannot be used: {type(error).__name__}: {first}"
