"""The threads of `mammo-node serve`. When one fails, the node stops and logs why.

Without that thread the node would answer but not deliver. Its supervisor (systemd, Docker) restarts a node that ended;
nothing is lost, because all state is in the database.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from models.errors import UserError
from node.liveness import HANGS_S, Signs, WatchedStop
from node.logs import place_of
from node.store.clock import ClockWatch
from node.store.faults import describe_fault, is_passing

log = logging.getLogger(__name__)

PAUSE_S = 5.0
LAST_S = 2.0
CLOCK_EVERY_S = 1.0


class ServiceFailed(UserError):
    """A thread of the node failed. The message has the place only: the exception's message may quote a header."""


class Listening(Protocol):
    """For example dicom_io.network.scp.Listener."""

    def start(self) -> None: ...

    def stop(self, grace_s: float) -> None: ...


@dataclass(frozen=True)
class Loop:
    """A thread: `run` returns soon after its event is set."""

    name: str
    run: Callable[[threading.Event], None]
    may_hang: bool = False
    """It writes to a file system that may not answer for hours (a hard mount), and nothing else waits for it: it never
    ends the node, which would keep nobody from hanging again."""


@dataclass(frozen=True)
class Tick:
    """A periodic task, run by APScheduler; never a job of the queue."""

    name: str
    every_s: float
    run: Callable[[], object]
    may_take_long: bool = False
    """It looks at every file, or deletes many: it never counts as hanging."""


class _Every(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires a fixed time after each run. APScheduler's own interval would count every missed run when the clock is set
    forward by years."""

    def __init__(self, seconds: float) -> None:
        self._pause = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        return now if previous is None else now + self._pause


class Service:
    """Runs a listener, loops and ticks until `stop`.

    Args:
        listener: None: this process receives nothing.
        clock: watches the wall clock, which APScheduler uses: when it is set, the ticks are due at once.
        ended: called when the threads have ended, with why the service failed, or "". It is not waited for longer than
            `LAST_S`: a database that is locked must not hold up a stop.
        grace_s: time after the stop until associations are aborted.
        stop_s: time for all threads to end; threads that take longer are not waited for.
        signs: tells the supervisor of this process each second that it goes on; None: there is none.
        hangs_s: a thread that did not look for so long whether it should stop, and a tick that takes so long, hangs:
            the service fails.
    """

    def __init__(
        self,
        listener: Listening | None,
        loops: Sequence[Loop],
        ticks: Sequence[Tick],
        clock: ClockWatch,
        grace_s: float = 2,
        stop_s: float = 4,
        ended: Callable[[str], None] = lambda _: None,
        signs: Signs | None = None,
        hangs_s: float = HANGS_S,
    ) -> None:
        self._listener = listener
        self._loops = loops
        self._ticks = ticks
        self._clock = clock
        self._grace_s = grace_s
        self._stop_s = stop_s
        self._ended = ended
        self._signs = signs or Signs(None, None)
        self._is_silent = False
        self._hangs_s = hangs_s
        self._stop = threading.Event()
        self._watched = {loop.name: WatchedStop(self._stop, clock.steady) for loop in loops}
        self._may_hang = {loop.name for loop in loops if loop.may_hang}
        self._said_to_hang: set[str] = set()
        self._ticking: dict[str, float] = {}
        """Since when the ticks that run now run."""
        self._faults: list[str] = []

    def stop(self) -> None:
        """Stops the service; safe to call from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Returns when all threads have ended, or `stop_s` and `LAST_S` after the stop. A thread that still waits then,
        for a peer or a locked database, has no unstored data.

        Raises:
            ServiceFailed: one of the threads failed.
        """
        threads = [_thread(loop.name, self._guard, loop) for loop in self._loops]
        scheduler = self._scheduler()
        if self._listener is not None:
            self._listener.start()
        try:
            for thread in threads:
                thread.start()
            scheduler.start()
            self._tell(self._signs.ready)
            while not self._stop.wait(CLOCK_EVERY_S):
                self._follow_clock(scheduler)
                self._look_for_hanging()
        finally:
            self._stop.set()
            self._tell(self._signs.stopping)
            ending = [] if self._listener is None else [_thread("the listener", self._listener.stop, self._grace_s)]
            if scheduler.running:
                ending.append(_thread("a tick", scheduler.shutdown))
            for thread in ending:
                thread.start()
            self._wait_for([*ending, *(thread for thread in threads if thread.ident is not None)], self._stop_s)
            last = _thread("its last act", self._ended, self._faults[0] if self._faults else "")
            last.start()
            self._wait_for([last], LAST_S)
        if self._faults:
            raise ServiceFailed(self._faults[0])

    def _wait_for(self, threads: Sequence[threading.Thread], limit_s: float) -> None:
        deadline = self._clock.steady() + limit_s
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock.steady()))
        if hanging := [thread.name for thread in threads if thread.is_alive()]:
            log.warning("the node ends without %s, which did not end in time", ", ".join(hanging))

    def _tell(self, sign: Callable[[], None]) -> None:
        """A supervisor that cannot be told does what it does when it hears nothing; the node itself goes on."""
        try:
            sign()
        except OSError as fault:
            if not self._is_silent:
                log.error("the supervisor of this process cannot be told that it goes on: %s", describe_fault(fault))
            self._is_silent = True
        else:
            self._is_silent = False

    def _look_for_hanging(self) -> None:
        now = self._clock.steady()
        unseen = {name: stop.unseen_for_s() for name, stop in self._watched.items()}
        unseen |= {name: now - since for name, since in self._ticking.copy().items()}
        all_hanging = {name for name, seconds in unseen.items() if seconds > self._hangs_s}
        for name in (all_hanging & self._may_hang) - self._said_to_hang:
            log.error("%s hangs for more than %.0f s, the node goes on without", name, self._hangs_s)
        self._said_to_hang = all_hanging & self._may_hang
        hanging = [name for name in unseen if name in all_hanging - self._may_hang]
        if hanging:
            log.critical("%s did nothing for %.0f s, the node stops", ", ".join(hanging), self._hangs_s)
            self._faults.append(f"{hanging[0]} hangs")
            self._stop.set()
        else:
            self._tell(self._signs.alive)

    def _guard(self, loop: Loop) -> None:
        stop = self._watched[loop.name]
        while not stop.is_set():
            try:
                loop.run(stop)
            except Exception as fault:  # noqa: BLE001 - logged, and raised where the service ends
                if is_passing(fault):  # receiving continues, and answers its senders
                    log.error("%s: disk or database do not answer, retrying: %s", loop.name, place_of(fault))
                    stop.wait(PAUSE_S)
                else:
                    log.critical("%s failed, the node stops: %s", loop.name, place_of(fault))
                    self._fail(loop.name, fault)

    def _fail(self, name: str, fault: BaseException) -> None:
        self._faults.append(f"{name} failed: {place_of(fault)}")
        self._stop.set()

    def _follow_clock(self, scheduler: BackgroundScheduler) -> None:
        if moved := self._clock.set_by():
            log.warning("the clock was set by %+.0f s", moved)
            self._clock.accept(moved)
            for job in scheduler.get_jobs():
                job.modify(next_run_time=datetime.fromtimestamp(self._clock.wall(), UTC))

    def _tick(self, tick: Tick) -> None:
        if not tick.may_take_long:
            self._ticking[tick.name] = self._clock.steady()
        try:
            tick.run()
        finally:
            self._ticking.pop(tick.name, None)

    def _scheduler(self) -> BackgroundScheduler:
        scheduler = BackgroundScheduler(timezone="UTC")
        for tick in self._ticks:
            # A late tick runs once, not once per missed run, and never twice at the same time.
            scheduler.add_job(
                partial(self._tick, tick),
                _Every(tick.every_s),
                name=tick.name,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )

        def failed(event: JobExecutionEvent) -> None:
            fault = event.exception
            if is_passing(fault):
                log.error("a tick is skipped: disk or database do not answer: %s", place_of(fault))
            else:
                log.critical("a tick failed, the node stops: %s", place_of(fault))
                self._fail("a tick", fault)

        scheduler.add_listener(failed, EVENT_JOB_ERROR)
        return scheduler


def _thread(name: str, run: Callable[..., object], *arguments: object) -> threading.Thread:
    return threading.Thread(target=run, args=arguments, name=name, daemon=True)
