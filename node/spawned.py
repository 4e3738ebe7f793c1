"""Processes that `serve` spawns: each ends when the node ends, also if the node is killed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess


def end(process: SpawnProcess) -> None:
    """Ends a process: SIGTERM, and SIGKILL if it is there after two seconds."""
    process.terminate()
    process.join(timeout=2)
    if process.is_alive():
        process.kill()
        process.join()


def end_with_the_node() -> None:
    """Called in a spawned process: ends it when the process that spawned it ends."""
    threading.Thread(target=_wait_for_the_node, name="parent-watch", daemon=True).start()


def _wait_for_the_node() -> None:
    node = multiprocessing.parent_process()
    if node is not None:
        wait([node.sentinel])
        os._exit(1)
