"""Calls functions in a worker process, so that parsing received data cannot crash the node.

A parser may build objects a hundred times as large as its input, and the native codecs are written in C and Rust. A
crash, full memory or an endless loop ends only the worker process (safety rule 11).
"""

from __future__ import annotations

import io
import itertools
import mmap
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler, recv_handle, send_handle
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from dicom_io.errors import NotReadable

_P = ParamSpec("_P")
_R = TypeVar("_R")
_MEMORY = Path("/proc/self/statm")
"""The first number is the size of the process in pages (proc(5)); Linux only."""


_START_S = 300.0
"""Time for the process to start and import its modules; received data is not read in that time."""
_READY = "ready"
_LARGE = 1 << 20
"""Bytes of an array from which on it comes in memory of its own."""
_ALIGNED = 64
"""Bytes: where an array begins in it."""


class NoAnswer(Exception):
    """The process crashed, took too long, or the function raised; the message has no patient data."""


@dataclass(frozen=True)
class _Child:
    process: BaseProcess
    connection: Connection


class WorkerProcess:
    """One process, started at its first call and again after each failure; it ends when the node ends."""

    def __init__(self, memory_bytes: int, timeout_s: float) -> None:
        """`memory_bytes`: memory for a call, besides that of the process itself; `timeout_s`: time for a call, counted
        from when the process is ready."""
        self._memory_bytes = memory_bytes
        self._timeout_s = timeout_s
        self._one_at_a_time = threading.Lock()
        self._child: _Child | None = None

    def call(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """The function's result. Function, arguments and result are pickled, so they must be small, except for large
        arrays in the result: they come in memory of their own, which is not copied.

        Raises:
            NoAnswer: as described.
            MemoryError: the call needs more than memory_bytes.
            NotReadable, OSError: raised by the function.
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
            return self._received(child.connection)
        except (EOFError, ConnectionError) as cause:
            raise NoAnswer("its process ended") from cause

    def _received(self, connection: Connection) -> tuple[object, Exception | None]:
        sizes, packed = connection.recv(), connection.recv_bytes()
        arrays: list[memoryview] = []
        if sizes:
            if not connection.poll(self._timeout_s):
                raise NoAnswer("it took too long")
            handle = recv_handle(connection)
            try:
                shared = memoryview(mmap.mmap(handle, sum(map(_padded, sizes))))
            finally:
                os.close(handle)
            places = itertools.accumulate(map(_padded, sizes), initial=0)
            arrays = [shared[place : place + size] for place, size in zip(places, sizes, strict=False)]
        answer: tuple[object, Exception | None] = ForkingPickler.loads(packed, buffers=arrays)  # as `Connection.recv`
        return answer

    def _start(self) -> _Child:
        context = multiprocessing.get_context("spawn")
        parent_end, child_end = context.Pipe()
        with child_end:
            process = context.Process(target=_serve, args=(child_end, self._memory_bytes), name="intake", daemon=True)
            process.start()
        return _Child(process, parent_end)

    def _end(self) -> None:
        if self._child is not None:
            self._child.process.kill()
            self._child.process.join()
            self._child.connection.close()
            self._child = None


def _serve(connection: Connection, memory_bytes: int) -> None:
    # Ctrl-C reaches the whole process group; the node ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
        except Exception as met:  # noqa: BLE001 - parsers can raise anything; the message may contain patient data
            answer, fault = None, NoAnswer(f"it met a {type(met).__name__}")
        _send(connection, (answer, fault))


def _send(connection: Connection, answer: tuple[object, Exception | None]) -> None:
    """Large arrays go in memory that both processes see: through the pipe, a film's pixels would take the other one a
    tenth of a second."""
    large: list[Any] = []

    def goes_with_the_rest(buffer: Any) -> bool:
        is_large: bool = buffer.raw().nbytes >= _LARGE
        if is_large:
            large.append(buffer)
        return not is_large

    packed = io.BytesIO()
    ForkingPickler(packed, 5, True, goes_with_the_rest).dump(answer)  # as `Connection.send`, without the arrays
    sizes = [buffer.raw().nbytes for buffer in large]
    if not large:
        connection.send(sizes)
        connection.send_bytes(packed.getbuffer())
        return
    with os.fdopen(os.memfd_create("arrays"), "wb") as shared:
        for buffer, size in zip(large, sizes, strict=True):
            shared.write(buffer.raw())
            shared.write(bytes(_padded(size) - size))
        shared.flush()
        connection.send(sizes)
        connection.send_bytes(packed.getbuffer())
        send_handle(connection, shared.fileno(), os.getppid())


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _limit_memory(memory_bytes: int) -> None:
    """Limits memory relative to the current size: libraries reserve more address space on machines with more cores."""
    if _MEMORY.exists():
        pages = int(_MEMORY.read_text().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
