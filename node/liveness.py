"""Whether this process goes on: its supervisor (systemd, Kubernetes) is told so each second, and starts it again when
it hears nothing.

Standard library alone: `node/alive.py`, which a probe runs each minute, imports it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

HANGS_S = 3600.0
"""A thread that did not look for so long whether it should stop hangs. The longest that one does without looking is the
sending of one object, whose time-outs are shorter. Copies to a second place may hang longer (`Loop.may_hang`)."""
FRESH_S = 60.0
"""A process whose last sign is older hangs."""


class WatchedStop(threading.Event):
    """The event that ends a thread, which notes when the thread looked at it last: all threads of the node do, again
    and again.

    Args:
        stop: is set when all threads are to end.
        steady: seconds on a clock that nobody sets.
    """

    def __init__(self, stop: threading.Event, steady: Callable[[], float]) -> None:
        super().__init__()
        self._all = stop
        self._steady = steady
        self._waits = False
        self._looked_at = steady()

    def is_set(self) -> bool:
        self._looked_at = self._steady()
        return self._all.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._waits = True
        try:
            return self._all.wait(timeout)
        finally:
            self._looked_at = self._steady()
            self._waits = False

    def unseen_for_s(self) -> float:
        """Seconds since the thread looked at it; 0 while it waits for it."""
        return 0.0 if self._waits else self._steady() - self._looked_at


class Signs:
    """The signs of life of this process.

    Args:
        socket_path: systemd's (sd_notify(3): it starts with "@" if it is abstract); None: there is none.
        file: the file for a probe; None: there is none.
    """

    def __init__(self, socket_path: str | None, file: Path | None) -> None:
        self._path = None if socket_path is None else socket_path.replace("@", "\0", 1)
        self._file = file

    def ready(self) -> None:
        """The process works."""
        self._notify("READY=1")

    def alive(self) -> None:
        """It still works."""
        self._notify("WATCHDOG=1")
        if self._file is not None:
            part = self._file.with_name(f"{self._file.name}.part")
            part.write_text(f"{time.clock_gettime(time.CLOCK_BOOTTIME)}\n", encoding="ascii")
            part.replace(self._file)

    def stopping(self) -> None:
        """It ends by itself: systemd waits for it as long as its unit says."""
        self._notify("STOPPING=1")

    def _notify(self, state: str) -> None:
        if self._path is not None:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.connect(self._path)
                sender.sendall(state.encode("ascii"))


def is_alive(file: Path) -> bool:
    """Whether the process that writes this file gave a sign within FRESH_S. On the same machine: its steady clock is
    compared.

    Raises:
        OSError, ValueError: there is no such file, or another program's.
    """
    last = float(file.read_text(encoding="ascii"))
    return 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - last <= FRESH_S
