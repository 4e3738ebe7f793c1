"""Calls functions in a worker process: code that reads everything that a peer sent must not end the node.

A parser may build objects a hundred times as large as its input, and the native codecs are written in C and Rust. One
that crashes, fills the memory or never returns ends the worker process alone (safety rule 11).
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from dicom_io.errors import NotReadable

_P = ParamSpec("_P")
_R = TypeVar("_R")
_MEMORY = Path("/proc/self/statm")
"""Its first number is the process's size in pages (proc(5)); Linux has it."""


_START_S = 300.0
"""For a process to start and to import what a function needs: nothing of a peer's is read so far."""
_READY = "ready"


class NoAnswer(Exception):
    """The process ended, took too long, or met what it could not deal with; the message is without patient data."""


@dataclass(frozen=True)
class _Child:
    process: BaseProcess
    connection: Connection


class WorkerProcess:
    """One process, started at its first call and again after each failure; it ends when the node ends."""

    def __init__(self, memory_bytes: int, timeout_s: float) -> None:
        """`memory_bytes`: what a call may take besides the process itself; `timeout_s`: how long it may take,
        from when the process is ready for it."""
        self._memory_bytes = memory_bytes
        self._timeout_s = timeout_s
        self._one_at_a_time = threading.Lock()
        self._child: _Child | None = None

    def call(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """The function's answer. Function, arguments and answer must be small and plain: they are pickled.

        Raises:
            NoAnswer: as described.
            MemoryError: it needs more than it may take.
            NotReadable, OSError: the function's own.
        """
        with self._one_at_a_time:
            try:
                answer, fault = self._ask((function, args, kwargs))
                if isinstance(fault, MemoryError | NoAnswer):
                    raise fault
            except BaseException:
                self._end()
                raise
        if fault is not None:
            raise fault
        return cast(_R, answer)

    def _ask(self, request: object) -> tuple[object, Exception | None]:
        if self._child is not None and not self._child.process.is_alive():
            self._end()
        child = self._child = self._child or self._start()
        child.connection.send(request)
        try:
            if not child.connection.poll(_START_S):
                raise NoAnswer("its process did not start")
            child.connection.recv()
            if not child.connection.poll(self._timeout_s):
                raise NoAnswer("it took too long")
            return child.connection.recv()  # type: ignore[no-any-return]
        except (EOFError, ConnectionError) as cause:
            raise NoAnswer("its process ended") from cause

    def _start(self) -> _Child:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        with there:
            process = context.Process(target=_serve, args=(there, self._memory_bytes), name="intake", daemon=True)
            process.start()
        return _Child(process, here)

    def _end(self) -> None:
        if self._child is not None:
            self._child.process.kill()
            self._child.process.join()
            self._child.connection.close()
            self._child = None


def _serve(connection: Connection, memory_bytes: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the node ends its own
    fault: Exception | None
    while True:
        try:
            function, args, kwargs = connection.recv()
        except EOFError:  # the node has ended
            return
        connection.send(_READY)
        _limit_memory(memory_bytes)
        try:
            answer, fault = function(*args, **kwargs), None
        except (NotReadable, OSError) as met:
            answer, fault = None, met
        except MemoryError:
            answer, fault = None, MemoryError()
        except Exception as met:  # noqa: BLE001 - whatever a parser may stumble over; its words may quote the patient
            answer, fault = None, NoAnswer(f"it met a {type(met).__name__}")
        connection.send((answer, fault))


def _limit_memory(memory_bytes: int) -> None:
    """From the size that the process has now: libraries reserve more address space the more cores there are."""
    if _MEMORY.exists():
        pages = int(_MEMORY.read_text().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
