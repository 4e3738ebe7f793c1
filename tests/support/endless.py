"""A peer whose answer never ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def endless(begin: bytes, piece: bytes, pause_s: float) -> Iterator[int]:
    """Answers whatever comes with `begin`, then with pieces for ever; yields its port on 127.0.0.1."""
    stop = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(begin)
            while not stop.wait(pause_s):
                connection.sendall(piece)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(sock.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as sock:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield sock.getsockname()[1]
        finally:
            stop.set()
            sock.shutdown(socket.SHUT_RDWR)
