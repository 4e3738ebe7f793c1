"""What a receiver read and may have lost is sent again."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import Authority

from dicom_io.audit.syslog import SyslogReceiver
from dicom_io.errors import Unreachable
from dicom_io.network.tls import TlsFiles

Serve = Callable[[ssl.SSLSocket], None]
LINES = [f"<85>1 {number} {'x' * 1000}" for number in range(3)]


def reads_all_and_is_killed(connection: ssl.SSLSocket) -> None:
    """A receiver that is killed: the kernel ends its connection, without TLS's close_notify."""
    _read(connection, sum(map(len, LINES)))
    _end(connection)


def reads_some_and_is_killed(connection: ssl.SSLSocket) -> None:
    _read(connection, 100)
    _end(connection)


def reads_to_the_end_and_is_killed(connection: ssl.SSLSocket) -> None:
    while connection.recv(1 << 16):
        pass
    _end(connection)


def _read(connection: ssl.SSLSocket, octets: int) -> None:
    while octets > 0:
        octets -= len(connection.recv(1 << 16))


def _end(connection: ssl.SSLSocket) -> None:
    with socket.socket(fileno=connection.detach()) as plain:
        plain.shutdown(socket.SHUT_RDWR)


@contextmanager
def receiving(folder: Path, serve: Serve, version: ssl.TLSVersion) -> Iterator[SyslogReceiver]:
    authority = Authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "127.0.0.1"))
    context.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            connection, _ = server.accept()
            serve(context.wrap_socket(connection, server_side=True))

        thread = threading.Thread(target=run)
        thread.start()
        yield SyslogReceiver("127.0.0.1", server.getsockname()[1], TlsFiles(None, None, authority.path), timeout_s=10)
        thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("serve", [reads_all_and_is_killed, reads_some_and_is_killed, reads_to_the_end_and_is_killed])
def test_lines_of_a_receiver_that_dies_while_it_reads_do_not_count_as_sent(
    tmp_path: Path, serve: Serve, version: ssl.TLSVersion
) -> None:
    with receiving(tmp_path, serve, version) as receiver, pytest.raises(Unreachable):
        receiver.send(LINES)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_lines_of_a_receiver_that_answers_their_end_count_as_sent(tmp_path: Path, version: ssl.TLSVersion) -> None:
    taken = bytearray()

    def reads_all_and_answers_the_end(connection: ssl.SSLSocket) -> None:
        while octets := connection.recv(1 << 16):
            taken.extend(octets)
        connection.unwrap().close()

    with receiving(tmp_path, reads_all_and_answers_the_end, version) as receiver:
        receiver.send(LINES)
    assert all(line.encode() in taken for line in LINES)
