"""HL7 messages come and go by TLS, and only between those who have a certificate of the authority."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import Authority

from dicom_io.errors import Unreachable
from dicom_io.network.tls import ServerTls, TlsFiles
from node.assessments.hl7.listener import MOST_PER_ADDRESS, MllpListener, listen
from node.delivery.mllp import MllpPeer, mllp_connects

MESSAGE = b"MSH|^~\\&|RIS||NODE||20260304||ORU^R01|7|P|2.5.1\r"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def theirs(authority: Authority) -> TlsFiles:
    return TlsFiles(*authority.issue("ris"), authority.path)


@contextmanager
def listening(authority: Authority, may_send: Callable[[str], bool] = lambda host: True) -> Iterator[int]:
    """A listener that answers with what it gets, and refuses messages of more than 1000 bytes."""
    own = TlsFiles(*authority.issue("node", "127.0.0.1"), authority.path)
    sock, stop = listen("127.0.0.1", 0), threading.Event()
    tls = ServerTls(own, asks=True)
    listener = MllpListener(sock, may_send, lambda block, host: block, lambda: b"too large", 1000, 60, tls)
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    yield sock.getsockname()[1]
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()


@pytest.fixture
def port(authority: Authority) -> Iterator[int]:
    with listening(authority) as number:
        yield number


def peer(port: int, tls: TlsFiles | None) -> MllpPeer:
    return MllpPeer("127.0.0.1", port, 5, "NODE", "", "RIS", "", "UNICODE UTF-8", tls)


def exchanged(connection: socket.socket, message: bytes) -> bytes:
    connection.sendall(b"\x0b" + message + b"\x1c\r")
    received = b""
    while not received.endswith(b"\x1c\r"):
        piece = connection.recv(4096)
        assert piece, "it was closed"
        received += piece
    return received[1:-2]


def test_messages_are_answered_by_tls(port: int, theirs: TlsFiles) -> None:
    with peer(port, theirs).connect() as connection:
        assert isinstance(connection, ssl.SSLSocket)
        assert exchanged(connection, MESSAGE) == MESSAGE
        assert exchanged(connection, MESSAGE * 2) == MESSAGE * 2
        assert exchanged(connection, bytes(2000)) == b"too large"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"server_name": "ris.example"}, "not accepted: Hostname mismatch"),
        ({"ca_file": None}, "not accepted: self-signed certificate in certificate chain"),
        ({"ca_file": Path("/no/such.pem")}, "such.pem: No such file"),
    ],
)
def test_a_receiver_that_cannot_be_trusted_gets_nothing(port: int, theirs: TlsFiles, changed, why: str) -> None:
    with pytest.raises(Unreachable, match=why):
        mllp_connects(peer(port, replace(theirs, **changed)))


def test_who_has_no_certificate_is_not_heard(port: int, authority: Authority) -> None:
    for tls in (None, TlsFiles(None, None, authority.path)):
        with peer(port, tls).connect() as connection, pytest.raises((OSError, AssertionError)):
            exchanged(connection, MESSAGE)


def test_who_may_not_send_and_who_finds_no_place_holds_no_connection(authority: Authority, theirs: TlsFiles) -> None:
    with listening(authority, may_send=lambda host: False) as port:
        refused = socket.create_connection(("127.0.0.1", port), timeout=30)
        assert refused.recv(1) == b"", "closed without a handshake"
        refused.close()
    with listening(authority) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(MOST_PER_ADDRESS + 5)]
        assert silent[0].recv(1) == b"", "the one that is idle longest gives its place"
        with peer(port, theirs).connect() as connection:
            assert exchanged(connection, MESSAGE) == MESSAGE
        for connection in silent:
            connection.close()


def test_check_tells_that_the_receiver_refuses_the_nodes_certificate(port: int, authority: Authority, theirs: TlsFiles):
    other = Authority(authority.path.parent, "another")
    for tls in (
        TlsFiles(None, None, authority.path),
        replace(theirs, **dict(zip(("certificate", "key"), other.issue("x"), strict=True))),
    ):
        with pytest.raises(Unreachable, match="ends the TLS connection"):
            mllp_connects(peer(port, tls))
    mllp_connects(peer(port, theirs))


def serial_of(connection: socket.socket) -> object:
    assert isinstance(connection, ssl.SSLSocket)
    return connection.getpeercert()["serialNumber"]


def test_a_new_certificate_is_shown_to_the_next_sender(port: int, authority: Authority, theirs: TlsFiles) -> None:
    with peer(port, theirs).connect() as connection:
        before = serial_of(connection)
        authority.issue("node", "127.0.0.1", until_days=2)
        assert exchanged(connection, MESSAGE) == MESSAGE
    with peer(port, theirs).connect() as connection:
        assert serial_of(connection) != before
