"""The node's threads start and end together."""

from __future__ import annotations

import logging
import socket
import threading
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Self

import pytest
from apscheduler.schedulers import base

from dicom_io.network.pace import PIECE, Pace
from node.liveness import Signs, is_alive
from node.service import Loop, Service, ServiceFailed, Tick
from node.store.clock import ClockWatch, steady

pytestmark = pytest.mark.slow


class Port:
    """A listener that only records calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self, grace_s: float) -> None:
        self.calls.append("stop")


def watch() -> ClockWatch:
    return ClockWatch(time.time, steady)


def test_a_stop_ends_every_thread_and_the_listener() -> None:
    port, ended = Port(), threading.Event()

    def loop(stop: threading.Event) -> None:
        stop.wait()
        ended.set()

    service = Service(port, [Loop("loop", loop)], [Tick("tick", 0.01, lambda: service.stop())], watch())
    service.run()
    assert ended.is_set()
    assert port.calls == ["start", "stop"]


class Hanging(Port):
    """A listener that never stops."""

    def stop(self, grace_s: float) -> None:
        threading.Event().wait()


def test_a_thread_that_hangs_at_the_stop_is_logged_and_the_node_ends(caplog: pytest.LogCaptureFixture) -> None:
    def hangs(stop: threading.Event) -> None:
        threading.Event().wait()

    ended = threading.Event()

    def ends(stop: threading.Event) -> None:
        stop.wait()
        ended.set()

    loops = [Loop("delivery to pacs", hangs), Loop("reporter", ends)]
    service = Service(Hanging(), loops, [Tick("tick", 0.01, lambda: service.stop())], watch(), stop_s=2)
    service.run()
    assert ended.is_set()
    assert "ends without the listener, delivery to pacs, which" in caplog.text


def test_a_last_act_that_hangs_is_logged_and_the_node_ends(caplog: pytest.LogCaptureFixture) -> None:
    def hangs(fault: str) -> None:
        threading.Event().wait()

    service = Service(Port(), [], [Tick("tick", 0.01, lambda: service.stop())], watch(), ended=hangs)
    service.run()
    assert "ends without its last act, which" in caplog.text


def test_a_thread_that_fails_stops_the_node_and_is_named() -> None:
    def fails(stop: threading.Event) -> None:
        raise OSError("the disk is gone")

    port = Port()
    with pytest.raises(ServiceFailed, match="fails failed: OSError"):
        Service(port, [Loop("fails", fails), Loop("other", threading.Event.wait)], [], watch()).run()
    assert port.calls == ["start", "stop"]


def test_a_tick_that_fails_stops_the_node() -> None:
    def fails() -> None:
        raise RuntimeError("no database")

    with pytest.raises(ServiceFailed, match="a tick failed: RuntimeError"):
        Service(Port(), [], [Tick("fails", 0.01, fails)], watch()).run()


@pytest.mark.parametrize("set_by_s", [-86400.0, -60.0, 86400.0 * 365 * 50])
def test_a_change_of_the_clock_stops_no_tick(set_by_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = 0.0
    ticked = threading.Semaphore(0)

    class Wall(datetime):
        """The clock by which APScheduler goes."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time() + moved, tz or UTC)

    monkeypatch.setattr(base, "datetime", Wall)
    clock = ClockWatch(lambda: time.time() + moved, steady)
    service = Service(Port(), [], [Tick("tick", 0.01, ticked.release)], clock)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        assert ticked.acquire(timeout=30)
        moved = set_by_s
        for _ in range(300):
            assert ticked.acquire(timeout=30)
    finally:
        service.stop()
        thread.join()


def test_a_thread_that_hangs_ends_the_node_so_that_it_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    def hangs(stop: threading.Event) -> None:
        threading.Event().wait()

    def waits(stop: threading.Event) -> None:
        stop.wait()

    loops = [Loop("delivery to pacs", hangs), Loop("HL7", waits)]
    service = Service(None, loops, [], watch(), stop_s=0.1, hangs_s=0.5)
    with pytest.raises(ServiceFailed, match="delivery to pacs hangs"):
        service.run()
    assert "HL7 did nothing" not in caplog.text


def test_copies_that_hang_are_named_and_the_node_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """A hard mount whose server is away: put() does not return, and no signal ends it."""
    back, named, port = threading.Event(), threading.Event(), Port()

    class Named(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "copies hangs for more than" in record.getMessage():
                named.set()

    def copies(stop: threading.Event) -> None:
        back.wait()

    def waits(stop: threading.Event) -> None:
        stop.wait()

    handler = Named()
    logging.getLogger("node.service").addHandler(handler)
    loops = [Loop("copies", copies, may_hang=True), Loop("HL7", waits)]
    service = Service(port, loops, [], watch(), stop_s=0.1, hangs_s=0.5)
    ended: list[str] = []

    def run() -> None:
        service.run()
        ended.append("without a fault")

    running = threading.Thread(target=run)
    running.start()
    try:
        assert named.wait(30)
        assert port.calls == ["start"], "it listens"
    finally:
        service.stop()
        running.join(30)
        back.set()
        logging.getLogger("node.service").removeHandler(handler)
    assert ended == ["without a fault"]
    assert port.calls == ["start", "stop"]
    assert caplog.text.count("copies hangs for more than") == 1


def test_a_slow_pace_is_no_thread_that_hangs_and_ends_with_the_node(caplog: pytest.LogCaptureFixture) -> None:
    """One object that takes longer than a thread may hang."""
    pieces = 0

    def sends(stop: threading.Event) -> None:
        nonlocal pieces
        pace = Pace(bytes_per_s=PIECE, clock=steady, pause=stop.wait)  # a piece a second
        for _ in pace.pieces(bytes(1000 * PIECE)):
            pieces += 1
            if pieces == 4:
                service.stop()

    service = Service(Port(), [Loop("delivery to pacs", sends)], [], watch(), hangs_s=2.0)
    service.run()
    assert pieces == 1000
    assert "did not end in time" not in caplog.text


def test_a_tick_that_hangs_ends_the_node_and_one_that_may_take_long_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    measuring = threading.Event()

    def hangs() -> None:
        measuring.wait()
        threading.Event().wait()

    def measure() -> None:
        measuring.set()
        threading.Event().wait()

    ticks = [Tick("measuring", 60, measure, may_take_long=True), Tick("closing", 60, hangs)]
    with pytest.raises(ServiceFailed, match="closing hangs"):
        Service(None, [], ticks, watch(), stop_s=0.1, hangs_s=0.5).run()
    assert "measuring did nothing" not in caplog.text


def test_a_supervisor_hears_that_the_node_is_ready_goes_on_and_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        heard = []

        def hear(_: threading.Event) -> None:
            while "WATCHDOG=1" not in heard:
                heard.append(systemd.recv(100).decode())
            service.stop()

        signs = Signs(str(tmp_path / "notify"), tmp_path / "alive")
        service = Service(None, [Loop("hears", hear)], [], watch(), signs=signs)
        service.run()
        heard.append(systemd.recv(100).decode())
    assert heard == ["READY=1", "WATCHDOG=1", "STOPPING=1"]
    assert is_alive(tmp_path / "alive")


def test_a_supervisor_that_is_gone_does_not_end_the_node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(None, [], [Tick("tick", 0.01, lambda: service.stop())], watch(), signs=Signs("@nobody", None))
    service.run()
    assert "cannot be told" in caplog.text
