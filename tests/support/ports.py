"""Ports of 127.0.0.1 that no other program gets while a test uses them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """A port at which nobody listens: connections to it are refused.

    It is bound and does not listen. The kernel gives it to nobody who asks for any port; a server that asks for this
    one can listen at it, as long as that server sets SO_REUSEADDR (the node, Orthanc and pynetdicom do).
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])
