"""A syslog server gets every line of the trail, in order, also those of the time when it was away."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from audit_messages import trail_in
from certificates import Authority
from ports import held_port
from running import eventually
from syslog_server import SyslogServer

from dicom_io.audit.syslog import SyslogReceiver, syslog_message
from dicom_io.errors import Unreachable
from dicom_io.network.tls import TlsFiles
from node.audit.copies import compare
from node.audit.sender import Sender, last_sent
from node.audit.trail import EMPTY, Head, Trail

pytestmark = pytest.mark.slow

NOON = 1_800_014_400.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(params=["udp", "tls"])
def server(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> Iterator[SyslogServer]:
    certificate = authority.issue("server", "127.0.0.1", rsa_key=True) if request.param == "tls" else None
    with held_port() as port:
        yield SyslogServer(tmp_path / "rsyslog", port, certificate, authority.path)


@pytest.fixture
def receiver(server: SyslogServer, authority: Authority) -> SyslogReceiver:
    tls = None if server.certificate is None else TlsFiles(*authority.issue("node", "node"), authority.path)
    return SyslogReceiver("127.0.0.1", server.port, tls, timeout_s=5)


def messages(count: int, first: int = 1, size: int = 1000) -> list[str]:
    return [
        syslog_message(
            f'<AuditMessage>{number} AuditSourceID="node" {"x" * size}</AuditMessage>',
            at=NOON + number,
            host="node",
            process=12,
            number=number,
        )
        for number in range(first, first + count)
    ]


@contextmanager
def sending(trail: Trail, receiver: SyslogReceiver, sent: Path) -> Iterator[None]:
    stop = threading.Event()
    sender = Sender(trail, receiver, sent, leads=lambda: True, known=lambda: (trail.head() or EMPTY).lines)
    thread = threading.Thread(target=sender.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def sequence_ids(lines: list[str]) -> list[int]:
    return [int(found) for line in lines for found in re.findall(r'\[meta sequenceId="(\d+)"\]', line)]


def test_every_line_arrives_in_order_also_those_of_the_time_when_it_was_away(
    server: SyslogServer, receiver: SyslogReceiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trail, sent = trail_in(tmp_path / "audit"), tmp_path / "sent"
    head = trail.append(messages(30), EMPTY, NOON)
    with sending(trail, receiver, sent):
        eventually("it is said that nobody is there", lambda: "the audit trail waits" in caplog.text or None)
        assert last_sent(sent) == 0
        with server.started():
            assert sequence_ids(server.lines(30)) == [*range(1, 31)]
            eventually("the lines are sent", lambda: last_sent(sent) == 30 or None)
        head = trail.append(messages(20, 31), head, NOON)
        eventually("it is said again", lambda: caplog.text.count("the audit trail waits") >= 2 or None)
        with server.started():
            lines = server.lines(50)
            trail.append(messages(5, 51), head, NOON)
            lines = server.lines(55)
            eventually("the last lines are sent", lambda: last_sent(sent) == 55 or None)
    assert sequence_ids(lines) == [*range(1, 56)]
    assert [*map(str.strip, lines)] == [line.message for _, line in trail.lines() if line]
    assert compare(trail, [server.file], 55) == ""


def test_ten_thousand_lines_that_waited_arrive_and_none_twice_after_the_next_start(
    server: SyslogServer, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    trail, sent = trail_in(tmp_path / "audit"), tmp_path / "sent"
    number = 1000 if receiver.tls is None else 10_000
    trail.append(messages(number), EMPTY, NOON)
    with server.started():
        with sending(trail, receiver, sent):
            eventually("half of the lines are sent", lambda: last_sent(sent) >= number // 2 or None)
        with sending(trail, receiver, sent):
            assert sequence_ids(server.lines(number)) == [*range(1, number + 1)]
            eventually("all lines are sent", lambda: last_sent(sent) == number or None)
        assert len(server.lines(number)) == number


def test_a_message_of_32768_octets_arrives_whole(server: SyslogServer, receiver: SyslogReceiver) -> None:
    """As PS3.15 section A.6 demands."""
    message = messages(1, size=32768)[0]
    with server.started():
        receiver.send([message])
        assert [line.strip() for line in server.lines(1)] == [message]


def test_a_line_that_was_changed_in_all_places_of_the_node_is_found_by_the_receivers_copy(
    server: SyslogServer, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    trail, sent = trail_in(tmp_path / "audit"), tmp_path / "sent"
    trail.append(messages(9), EMPTY, NOON)
    with server.started(), sending(trail, receiver, sent):
        server.lines(9)
    forged = trail_in(tmp_path / "forged")
    forged.append([*messages(4), messages(1, 99)[0], *messages(4, 6)], EMPTY, NOON)
    assert compare(forged, [server.file], 9) == "line 5 was sent, and the receiver's copy has another message or none"
    cut = trail_in(tmp_path / "cut")
    cut.append(messages(7), EMPTY, NOON)
    assert "the trail has not: a line was changed or removed" in compare(cut, [server.file], 7)


def test_nothing_is_sent_to_a_receiver_that_is_not_the_one_of_the_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    certificate = Authority(strangers).issue("server", "127.0.0.1", rsa_key=True)
    with held_port() as port:
        server = SyslogServer(tmp_path / "rsyslog", port, certificate, authority.path)
        receiver = SyslogReceiver("127.0.0.1", port, TlsFiles(*authority.issue("node"), authority.path), 5)
        with server.started():
            with pytest.raises(Unreachable, match=r"certificate|Connection refused") as refused:
                eventually("it is refused for its certificate", lambda: refusal(receiver))
            assert "its certificate: " in str(refused.value)


def refusal(receiver: SyslogReceiver) -> None:
    try:
        receiver.send(messages(1))
    except Unreachable as fault:
        if "refused" not in str(fault):  # it listens by now
            raise


def test_the_head_of_a_trail_is_that_of_its_last_line(tmp_path: Path) -> None:
    trail = trail_in(tmp_path / "audit")
    head = trail.append(messages(2, size=200_000), EMPTY, NOON)
    assert (trail.head(), head) == (head, Head(2, head.digest))
