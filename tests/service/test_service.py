"""The node's threads start and end together."""

from __future__ import annotations

import threading

import pytest

from node.service import Loop, Service, ServiceFailed, Tick


class Port:
    """A listener that only remembers."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self, grace_s: float) -> None:
        self.calls.append("stop")


def test_a_stop_ends_every_thread_and_the_listener() -> None:
    port, ended = Port(), threading.Event()

    def loop(stop: threading.Event) -> None:
        stop.wait()
        ended.set()

    service = Service(port, [Loop("loop", loop)], [Tick("tick", 0.01, lambda: service.stop())])
    service.run()
    assert ended.is_set()
    assert port.calls == ["start", "stop"]


def test_a_thread_that_fails_stops_the_node_and_is_named() -> None:
    def fails(stop: threading.Event) -> None:
        raise OSError("the disk is gone")

    port = Port()
    with pytest.raises(ServiceFailed, match="fails failed: OSError"):
        Service(port, [Loop("fails", fails), Loop("other", threading.Event.wait)], []).run()
    assert port.calls == ["start", "stop"]


def test_a_tick_that_fails_stops_the_node() -> None:
    def fails() -> None:
        raise RuntimeError("no database")

    with pytest.raises(ServiceFailed, match="a tick failed: RuntimeError"):
        Service(Port(), [], [Tick("fails", 0.01, fails)]).run()
