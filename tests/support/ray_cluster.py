"""A real Ray cluster on 127.0.0.1: a head, and machines that read, each a raylet with processes of its own.

Run as a program it is the process that starts and ends Ray's: they end with it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

_STORE_BYTES = 120_000_000


@dataclass(frozen=True)
class RayCluster:
    """`address`: of its head; `tls`: certificate, key and authority; `machines`: their ids in Ray; `variables`: the
    environment of its processes."""

    address: str
    token_file: Path
    tls: tuple[Path, Path, Path] | None
    machines: tuple[str, ...]
    variables: Mapping[str, str]

    def drain(self, machine: str) -> None:
        """What an administrator does before a machine is taken away."""
        ray = str(Path(sys.executable).with_name("ray"))
        reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "a test"]
        command = [ray, "drain-node", "--address", self.address, "--node-id", machine, *reason]
        drained = subprocess.run(
            [*command, "--deadline-remaining-seconds", "600"],
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert drained.returncode == 0, drained.stderr

    def actors(self) -> list[psutil.Process]:
        """The processes that read, by the token that they were given."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "environ"])
            if str(process.info["cmdline"] and process.info["cmdline"][0]).startswith("ray::")
            and (process.info["environ"] or {}).get("RAY_AUTH_TOKEN_PATH") == str(self.token_file)
        ]

    @property
    def settings(self) -> str:
        """The table [ray] of a node's settings, for actors without a GPU."""
        tls = ""
        if self.tls is not None:
            certificate, key, ca_file = self.tls
            tls = f'tls = {{ certificate = "{certificate}", key = "{key}", ca_file = "{ca_file}" }}\n'
        return f"""
[ray]
address = "{self.address}"
token_file = "{self.token_file}"
{tls}gpus_per_actor = 0
"""


@contextmanager
def ray_cluster(
    machines: int,
    *,
    cpus: int = 1,
    with_token: bool = True,
    tls: tuple[Path, Path, Path] | None = None,
    paths: tuple[Path, ...] = (),
    says_version: str = "",
) -> Iterator[RayCluster]:
    """A cluster of so many machines beside the head, which has no CPUs.

    Args:
        cpus: of each machine.
        with_token: whether it lets in only who has the token.
        paths: folders on the module path of its processes.
        says_version: the version of Ray that it claims to be; "": its own.
    """
    pytest.importorskip("ray", reason='Ray is not installed (pip install "mammo-node[ray]")')
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray's sockets lie in it
    token_file = folder / "token"
    token_file.write_text("a-token-of-the-tests-0123456789\n")
    variables = _variables(token_file if with_token else None, tls)
    variables["PYTHONPATH"] = os.pathsep.join([*map(str, paths), os.environ.get("PYTHONPATH", ""), str(Path.cwd())])
    environment = {**os.environ, **variables}
    try:
        process, said = _started((machines, cpus, folder, says_version), folder, environment)
        try:
            yield RayCluster(said["address"], token_file, tls, tuple(said["machines"]), environment)
        finally:
            _end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(
    arguments: tuple[object, ...], folder: Path, variables: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """The process and what it says."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, __file__, *map(str, arguments)],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        _end(process)
        pytest.fail(f"Ray does not start:\n{log.read_text(errors='replace')[-3000:]}")
    return process, json.loads(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends it, and Ray's processes with it."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=120)


def _variables(token_file: Path | None, tls: tuple[Path, Path, Path] | None) -> dict[str, str]:
    variables = {
        "RAY_AUTH_MODE": "disabled" if token_file is None else "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file or ""),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens on loopback alone
        "RAY_enable_worker_prestart": "0",
        "RAY_worker_niceness": "0",  # 15 by itself: on a busy computer an actor loads its models for minutes
        "RAY_memory_monitor_refresh_ms": "0",  # or it ends actors where other programs fill the memory
        "OMP_NUM_THREADS": "1",
    }
    if tls is not None:
        names = ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
        variables |= {"RAY_USE_TLS": "1", **{name: str(path) for name, path in zip(names, tls, strict=True)}}
    return variables


def _main(machines: int, cpus: int, folder: str, says_version: str) -> None:
    from ray._private import services
    from ray.cluster_utils import Cluster

    services.get_node = _patient(services.get_node)
    services.start_ray_process = _with_its_port(services.start_ray_process)

    def there() -> dict[str, Any]:
        # With ports of their own a raylet does not wait for its agents, which it does for 15 s alone.
        agents = ("metrics_agent_port", "dashboard_agent_listen_port", "runtime_env_agent_port", "metrics_export_port")
        ports = dict(zip(agents, _free_ports(len(agents)), strict=True))
        return {"num_gpus": 0, "object_store_memory": _STORE_BYTES, "node_ip_address": "127.0.0.1", **ports}

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "temp_dir": folder, **there()},
    )
    added = [cluster.add_node(wait=False, num_cpus=cpus, **there()) for _ in range(machines)]
    cluster.wait_for_nodes(timeout=300)
    if says_version:
        _claim(cluster.head_node, says_version)
    print(json.dumps({"address": cluster.address, "machines": [node.node_id for node in added]}), flush=True)
    sys.stdin.read()
    cluster.shutdown()


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(number)]
        for holder in held:
            holder.bind(("127.0.0.1", 0))
        return [holder.getsockname()[1] for holder in held]


def _with_its_port(start: Callable[..., Any]) -> Callable[..., Any]:
    """Ray tells a raylet's agent its port, and not the raylet, which waits for the agent to say it."""

    def started(command: list[str], *arguments: Any, **named: Any) -> Any:
        if port := re.search(r"--listen-port=(\d+)", " ".join(command)):
            command = [*command, f"--dashboard_agent_listen_port={port[1]}"]
        return start(command, *arguments, **named)

    return started


def _patient(get_node: Callable[..., Any]) -> Callable[..., Any]:
    """Ray gives each machine 30 s to start, which a busy computer may not meet: this asks for five minutes."""

    def asked(*arguments: Any) -> Any:
        deadline = time.monotonic() + 300
        while True:
            try:
                return get_node(*arguments)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    return asked


def _claim(head: Any, version: str) -> None:
    from ray._common.usage import usage_constants
    from ray._private import ray_constants
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    client: GcsClient = head.get_gcs_client()
    key, namespace = usage_constants.CLUSTER_METADATA_KEY, ray_constants.KV_NAMESPACE_CLUSTER
    said = json.loads(client.internal_kv_get(key, namespace))
    client.internal_kv_put(key, json.dumps({**said, "ray_version": version}).encode(), True, namespace)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
