"""Senders known by host name: a name service that is slow, absent or inconsistent delays no other sender."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from running import eventually
from wire import Wire, association_request, pdu

from dicom_io.network import host_names
from dicom_io.network.host_names import HostNames
from dicom_io.network.scp import AllowedSender, ListenerLimits

ACCEPTED = (2, ())
NOT_NOW, NOT_KNOWN = (3, (2, 1, 1)), (3, (1, 1, 3))
HERE, ELSEWHERE = frozenset({"127.0.0.1"}), frozenset({"192.0.2.7"})


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_names, "_FIRST_S", 60)  # until the first answers, which are immediate
    monkeypatch.setattr(host_names, "_PAUSE_S", 0.01)


def answer_to(node, calling: bytes) -> tuple[int | None, tuple[int, ...]]:
    """The kind of the answer to an association request, and of a rejection the result, source and reason."""
    with Wire.to(node.listener.port) as sender:
        sender.send(association_request(calling=calling))
        kind, body = sender.pdu()
        if kind == 2:  # wait until its connection is free again
            sender.send(pdu(5, bytes(4)))
            sender.pdu()
            sender.pdu()
        return kind, tuple(body[1:4]) if kind == 3 else ()


def test_a_name_service_that_does_not_answer_delays_no_other_sender_and_uses_no_connection(
    start_node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_names, "_FIRST_S", 0.05)  # no answer
    answers = threading.Event()

    def look_up(host: str) -> frozenset[str]:
        answers.wait()
        return HERE

    senders = (AllowedSender("PACS"), AllowedSender("NAMED", "pacs.hospital.example"))
    node = start_node(listening=ListenerLimits(max_associations=1), senders=senders, look_up=look_up)
    for _ in range(10):
        assert answer_to(node, b"NAMED") == NOT_NOW
    assert answer_to(node, b"PACS") == ACCEPTED
    answers.set()
    eventually("the name is known", lambda: answer_to(node, b"NAMED") == ACCEPTED)


def test_a_sender_with_a_new_address_is_accepted_as_soon_as_its_name_resolves_to_it(start_node) -> None:
    found = iter([ELSEWHERE, HERE])
    node = start_node(senders=(AllowedSender("NAMED", "pacs.hospital.example"),), look_up=lambda _: next(found, HERE))
    assert answer_to(node, b"NAMED") == NOT_KNOWN
    eventually("the new address is known", lambda: answer_to(node, b"NAMED") == ACCEPTED)


@pytest.mark.parametrize("fault", [OSError("no name service"), UnicodeError("label too long")])
def test_resolved_addresses_are_kept_while_the_name_service_fails(fault: Exception) -> None:
    asked = threading.Semaphore(0)
    answers: list[Callable[[], frozenset[str]]] = [lambda: HERE]

    def look_up(host: str) -> frozenset[str]:
        if answers:
            return answers.pop()()
        asked.release()
        raise fault

    hosts = HostNames(look_up)
    hosts.watch(["pacs.hospital.example"])
    assert hosts.is_at("pacs.hospital.example", "192.0.2.7") is False  # and so the name is resolved again
    assert asked.acquire(timeout=60)
    assert hosts.is_at("pacs.hospital.example", "::ffff:127.0.0.1") is True
    hosts.stop()


def test_a_name_that_never_resolves_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    tries = threading.Semaphore(0)

    def look_up(host: str) -> frozenset[str]:
        tries.release()
        raise OSError("unknown")

    hosts = HostNames(look_up)
    hosts.watch(["nowhere.example"])
    for _ in range(3):
        assert hosts.is_at("nowhere.example", "127.0.0.1") is None
        assert tries.acquire(timeout=60)
    hosts.stop()
    messages = [record.getMessage() for record in caplog.records]  # a thread of an earlier test may still be ending
    assert [line for line in messages if "nowhere" in line] == ["the host 'nowhere.example' does not resolve"]


def test_an_ip_address_is_never_resolved() -> None:
    def look_up(host: str) -> frozenset[str]:
        raise AssertionError(host)

    hosts = HostNames(look_up)
    hosts.watch(["127.0.0.1", "::1"])
    assert hosts.is_at("127.0.0.1", "::ffff:127.0.0.1") is True
    assert hosts.is_at("::1", "127.0.0.1") is False
