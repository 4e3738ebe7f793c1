"""The reader's process: spawned, watched, started again when it dies."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from sqlalchemy import exists, select
from sqlalchemy.exc import SQLAlchemyError

from models.types.words import counted
from node.logs import place_of
from node.store.database import Sessions, read_only
from node.store.queue import give_back
from node.store.states import JobKind, JobState
from node.store.tables import Job

log = logging.getLogger(__name__)

EXIT_MACHINE_FAILED = 75
"""The exit status of a reader that stopped for a fault of disk or database (EX_TEMPFAIL of sysexits.h)."""
EXIT_DEVICE_FAILED = 76
"""The exit status of a reader whose device failed: an attempt counts for images claimed at two such failures in a
row."""


class DeviceFailed(Exception):
    """The device failed: the GPU is lost, or an image made it fail."""


class ReaderSupervisor:
    """Runs one reader process, and starts it again when it ends.

    Args:
        target: the reader's main function and its arguments; both must be picklable.
        worker: the name under which it holds its leases: they are given back when it dies.
        now: UTC seconds since the epoch.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: tuple[object, ...],
        sessions: Sessions,
        worker: str,
        now: Callable[[], float],
    ) -> None:
        self._target = target
        self._arguments = arguments
        self._sessions = sessions
        self._worker = worker
        self._now = now

    def run(self, stop: threading.Event) -> None:
        """Returns after `stop` was set and the reader has ended."""
        pause_s, failed_with = 0.0, frozenset[int]()
        self._give_back(counts=False)  # of this supervisor, where a fault of the database ended it
        while not stop.wait(pause_s):
            process = self._start()
            try:
                self._watch(process, stop)
            finally:
                _end(process)
            held = self._held()
            if stop.is_set() or process.exitcode == EXIT_MACHINE_FAILED:
                blamed = False
            elif process.exitcode == EXIT_DEVICE_FAILED:
                blamed, failed_with = held == failed_with, held
            else:
                blamed = True
            self._give_back(counts=blamed)
            if not stop.is_set():
                log.error(
                    "the reader ended by itself (exit status %s) with %s claimed",
                    process.exitcode,
                    counted(len(held), "job"),
                )
            # One that ended without an image at fault will end again: start it less and less often (backoff).
            pause_s = 0.0 if held and blamed else min(60.0, 2 * pause_s + 1)

    def _watch(self, process: SpawnProcess, stop: threading.Event) -> None:
        """Returns when the process has ended or is to be ended."""
        overdue = 0
        while not stop.is_set() and not wait([process.sentinel], timeout=0.25):
            # More than once: when the clock is set forward, leases are set with it a moment later (clock.py).
            overdue = overdue + 1 if self._overdue() else 0
            if overdue > 12:
                log.error("the reader hangs: its lease ran out; it is killed")
                process.kill()

    def _start(self) -> SpawnProcess:
        process = multiprocessing.get_context("spawn").Process(
            target=_reader_main, args=(self._target, self._arguments), name="reader"
        )
        process.start()
        return process

    def _give_back(self, *, counts: bool) -> int:
        with self._sessions.begin() as session:
            return give_back(session, self._worker, counts=counts)

    def _held(self) -> frozenset[int]:
        with read_only(self._sessions) as session:
            held = select(Job.id).where(Job.worker == self._worker, Job.state == JobState.RUNNING)
            return frozenset(session.scalars(held))

    def _overdue(self) -> bool:
        overdue = exists().where(
            Job.kind == JobKind.READ_IMAGE,
            Job.worker == self._worker,
            Job.state == JobState.RUNNING,
            Job.lease_until < self._now(),
        )
        with read_only(self._sessions) as session:
            return bool(session.scalar(select(overdue)))


def _end(process: SpawnProcess) -> None:
    process.terminate()
    process.join(timeout=2)
    if process.is_alive():
        process.kill()
        process.join()


def _reader_main(target: Callable[..., None], arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the node ends its reader itself
    threading.Thread(target=_end_with_the_node, name="parent-watch", daemon=True).start()
    try:
        target(*arguments)
    except (OSError, SQLAlchemyError) as fault:
        log.error("the reader stops, through no image's fault: %s", place_of(fault))
        sys.exit(EXIT_MACHINE_FAILED)
    except DeviceFailed as fault:
        log.error("the reader stops, since its device failed: %s", place_of(fault))
        sys.exit(EXIT_DEVICE_FAILED)
    except Exception as fault:  # noqa: BLE001 - the process ends with it
        # Logged by its place: multiprocessing would print its message, which may quote a header.
        log.error("the reader stops: %s", place_of(fault))
        sys.exit(1)


def _end_with_the_node() -> None:
    """Ends this process when the node dies, however it dies: an orphan would go on reading under its leases."""
    node = multiprocessing.parent_process()
    if node is not None:
        wait([node.sentinel])
        os._exit(1)
