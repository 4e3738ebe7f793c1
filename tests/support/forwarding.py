"""A destination that can be switched off: a port that passes connections on, or refuses them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ports import held_port


class Forwarder:
    """Passes connections to `port` on to `to` of 127.0.0.1, once it is switched on."""

    def __init__(self, port: int, to: int) -> None:
        self.port = port
        self._to = to
        self._server: socket.socket | None = None

    def switch_on(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def switch_off(self) -> None:
        if self._server is not None:
            self._server.close()

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):  # switched off
            while True:
                near, _ = server.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def forwarder(to: int) -> Iterator[Forwarder]:
    """A forwarder that is off."""
    with held_port() as port:
        made = Forwarder(port, to)
        yield made
        made.switch_off()
