"""The HL7 listener on a real socket: frames in any pieces, many messages per connection, and its stop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from assessing import assessments, oru, side_and_category
from hl7.client import MLLPClient
from road import Road

from config.hl7 import Hl7
from dicom_io.errors import NotListening
from node.assessments.hl7.intake import Hl7Intake
from node.assessments.hl7.listener import MOST_CONNECTIONS, MllpListener, listen

KB = 1000


@contextmanager
def listening(intake: Hl7Intake, stop: threading.Event | None = None, frame_s: float = 300) -> Iterator[int]:
    """The port of a listener that must end within a minute after its stop."""
    sock, stop = listen("127.0.0.1", 0), stop or threading.Event()
    listener = MllpListener(sock, intake.may_send, intake.answer, intake.too_large, 100 * KB, frame_s)
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    yield int(sock.getsockname()[1])
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()


@pytest.fixture
def port(intake: Hl7Intake) -> Iterator[int]:
    with listening(intake) as number:
        yield number


def connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.settimeout(60)
    return connection


def is_ended(connection: socket.socket) -> bool:
    """Waits for the connection's end; it is reset if unread bytes were on the way."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def answers(connection: socket.socket, count: int) -> list[bytes]:
    received = b""
    while received.count(b"\x1c\r") < count:
        piece = connection.recv(4096)
        if not piece:
            break
        received += piece
    return received.split(b"\x1c\r")[:-1]


def test_several_messages_on_a_connection_are_answered_in_order(port: int, road: Road) -> None:
    with MLLPClient("127.0.0.1", port) as client:
        replies = [client.send_message(oru(f"BI-RADS {category}", control_id=f"M{category}")) for category in "124"]
    assert [b"MSA|AA|M" + number in entry for number, entry in zip((b"1", b"2", b"4"), replies, strict=True)] == [
        True
    ] * 3
    assert side_and_category(assessments(road)) == [(None, "1"), (None, "2"), (None, "4")]


def test_messages_sent_together_or_in_pieces_are_read(port: int, road: Road) -> None:
    frames = b"".join(b"\x0b" + oru(f"BI-RADS {entry}", control_id=entry) + b"\x1c\r\n" for entry in "12")
    with connected(port) as connection:
        for at in range(0, len(frames), 50):
            connection.sendall(frames[at : at + 50])
        assert [b"MSA|AA" in answer for answer in answers(connection, 2)] == [True, True]
    assert side_and_category(assessments(road)) == [(None, "1"), (None, "2")]


def test_a_frame_without_a_message_is_answered_and_the_next_message_is_read(port: int, road: Road) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\x1c\r\x0b\x00\xff\x1c\r\x0b" + oru("BI-RADS 2") + b"\x1c\r")
        codes = [answer.partition(b"MSA|")[2][:2] for answer in answers(connection, 3)]
    assert codes == [b"AE", b"AE", b"AA"]
    assert side_and_category(assessments(road)) == [(None, "2")]


def test_a_too_large_message_is_answered_and_ends_only_its_connection(port: int, road: Road) -> None:
    with connected(port) as other, connected(port) as connection:
        connection.sendall(b"\x0bMSH|^~\\&|" + b"x" * 150 * KB)
        (answer,) = answers(connection, 1)
        assert b"too large" in answer
        other.sendall(b"\x0b" + oru("BI-RADS 2") + b"\x1c\r")
        assert b"MSA|AA" in answers(other, 1)[0]


def test_a_sender_that_reads_only_after_sending_all_gets_the_answer_that_its_message_is_too_large(port: int) -> None:
    with connected(port) as connection:
        for _ in range(40):
            connection.sendall(b"\x0bMSH|^~\\&|" + b"x" * 1000 * KB)
        connection.sendall(b"\x1c\r")
        assert [b"MSA|AE" in answer and b"too large" in answer for answer in answers(connection, 1)] == [True]
        assert connection.recv(1) == b"", "its connection ends"


def test_a_connection_that_ends_within_a_message_leaves_no_assessment(port: int, road: Road) -> None:
    with connected(port) as connection:
        connection.sendall(b"\x0b" + oru("BI-RADS 2"))
    with connected(port) as connection:
        connection.sendall(b"\x0b" + oru("BI-RADS 4") + b"\x1c\r")
        assert b"MSA|AA" in answers(connection, 1)[0]
    assert side_and_category(assessments(road)) == [(None, "4")]


def test_a_message_that_does_not_end_in_time_frees_its_connection(intake: Hl7Intake) -> None:
    with listening(intake, frame_s=1) as port:
        held = [connected(port) for _ in range(MOST_CONNECTIONS)]
        for connection in held:
            with suppress(BrokenPipeError, ConnectionResetError):  # some were closed for later ones
                connection.sendall(b"\x0bMSH|half")
        assert all(is_ended(connection) for connection in held)
        for connection in held:
            connection.close()
        with connected(port) as connection:
            connection.sendall(b"\x0b" + oru("BI-RADS 2") + b"\x1c\r")
            assert b"MSA|AA" in answers(connection, 1)[0]


def test_a_connection_from_a_host_that_is_not_allowed_is_closed(intake: Hl7Intake) -> None:
    nobody = replace(intake, settings=Hl7(sender_hosts=["192.0.2.7"]))
    with listening(nobody) as port, connected(port) as connection:
        assert connection.recv(1) == b""


def test_the_listener_stops_while_connections_are_open(intake: Hl7Intake) -> None:
    stop = threading.Event()
    with listening(intake, stop) as port, connected(port) as connection:
        connection.sendall(b"\x0bno message\x1c\r")
        assert answers(connection, 1)  # so the message was accepted
        connection.sendall(b"\x0bMSH|")
        stop.set()
        assert is_ended(connection)


def test_a_port_in_use_is_reported_with_its_setting(silent_port: int) -> None:
    with pytest.raises(NotListening, match=r"hl7\.port"):
        listen("127.0.0.1", silent_port)


def test_an_internal_error_is_answered_and_its_message_is_not_logged(
    intake: Hl7Intake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: object) -> bytes:
        raise RuntimeError("PID|1||SECRET")

    monkeypatch.setattr(Hl7Intake, "_entered", lambda self, *message: fails(message))
    assert b"MSA|AE" in intake.answer(oru("BI-RADS 2"), "127.0.0.1")
    assert "RuntimeError" in caplog.text
    assert "SECRET" not in caplog.text
    assert len(list((intake.data_dir / "hl7-refused").iterdir())) == 1, "support can look at the message"


def test_a_stop_ends_open_connections_without_logging_an_error(
    intake: Hl7Intake, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    with listening(intake, stop) as port, connected(port) as connection:
        connection.sendall(b"\x0b" + oru("BI-RADS 2") + b"\x1c\r")
        assert answers(connection, 1)
        stop.set()
        assert connection.recv(1) == b""
    assert [record.message for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


def test_idle_connections_are_closed_for_one_that_sends(port: int, road: Road) -> None:
    held = [connected(port) for _ in range(2 * MOST_CONNECTIONS)]
    with connected(port) as connection:
        connection.sendall(b"\x0b" + oru("BI-RADS 2") + b"\x1c\r")
        assert b"MSA|AA" in answers(connection, 1)[0]
    for connection in held:
        connection.close()
