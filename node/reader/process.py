"""The reader process: spawned, supervised, and restarted when it ends."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from sqlalchemy import exists, select
from sqlalchemy.exc import SQLAlchemyError

from models.bundles.bundle import BundleError
from models.types.words import counted
from node.logs import place_of
from node.reader.memory import keep_freed_memory
from node.reader.threads import wait_without_spinning
from node.spawned import end, end_with_the_node
from node.store.database import Sessions, read_only
from node.store.queue import give_back
from node.store.states import JobKind, JobState
from node.store.tables import Job

log = logging.getLogger(__name__)

EXIT_MACHINE_FAILED = 75
"""Exit status of a reader that ended because of a fault of disk or database (EX_TEMPFAIL of sysexits.h)."""
EXIT_DEVICE_FAILED = 76
"""Exit status of a reader whose device failed. An attempt counts only for images that were claimed at two such failures
in a row."""


class DeviceFailed(Exception):
    """The device failed: the GPU is lost, or an image made it fail."""


class ReaderSupervisor:
    """Runs one reader process, and restarts it when it ends.

    Args:
        target: the reader's main function and its arguments; both must be picklable.
        worker: the name in its leases, which are given back when it ends.
        now: UTC seconds since the epoch.
        decodes: whether images are decoded and read in that process, so that one may have ended it. Otherwise no
            attempt counts when it ends.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: tuple[object, ...],
        sessions: Sessions,
        worker: str,
        now: Callable[[], float],
        decodes: bool = True,
    ) -> None:
        self._target = target
        self._arguments = arguments
        self._sessions = sessions
        self._worker = worker
        self._now = now
        self._decodes = decodes

    def run(self, stop: threading.Event) -> None:
        """Returns after `stop` was set and the reader has ended."""
        pause_s, failed_with = 0.0, frozenset[int]()
        self._give_back(counts=False)  # left if a fault of the database ended this supervisor before
        while not stop.wait(pause_s):
            process = self._start()
            try:
                self._watch(process, stop)
            finally:
                end(process)
            held = self._held()
            if stop.is_set() or not self._decodes or process.exitcode == EXIT_MACHINE_FAILED:
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
            # A reader that ended without an image as the cause will end again: restart with backoff.
            pause_s = 0.0 if held and blamed else min(60.0, 2 * pause_s + 1)

    def _watch(self, process: SpawnProcess, stop: threading.Event) -> None:
        """Returns when the process has ended or must be ended."""
        overdue = 0
        while not stop.is_set() and not wait([process.sentinel], timeout=0.25):
            # Checked repeatedly: when the clock is set forward, the leases follow a moment later (clock.py).
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
            return give_back(session, self._worker, self._now(), counts=counts)

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


def _reader_main(target: Callable[..., None], arguments: tuple[object, ...]) -> None:
    # Ctrl-C reaches the whole process group; the node ends its reader itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wait_without_spinning()
    keep_freed_memory()
    # An orphan would continue under its leases.
    end_with_the_node()
    try:
        target(*arguments)
    except (OSError, SQLAlchemyError) as fault:
        log.error("the reader stops because of a fault of disk or database: %s", place_of(fault))
        sys.exit(EXIT_MACHINE_FAILED)
    except DeviceFailed as fault:
        log.error("the reader stops because its device failed: %s", place_of(fault))
        sys.exit(EXIT_DEVICE_FAILED)
    except BundleError as fault:  # it says what to do, and quotes no header
        log.error("the reader stops: %s", fault)
        sys.exit(1)
    except Exception as fault:  # noqa: BLE001 - the process ends with it
        # Only its place is logged: multiprocessing would print the message, which may quote a header.
        log.error("the reader stops: %s", place_of(fault))
        sys.exit(1)
