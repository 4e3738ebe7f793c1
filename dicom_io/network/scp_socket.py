"""A socket that reads into file buffers without a copy, with a deadline (see scp_stream.py)."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from dicom_io.network.incoming import IncomingFile

CONNECTION_CLOSED = "Evt17"
# Many senders write a command and its data set in two calls with Nagle's algorithm on: the second waits for the
# acknowledgement of the first. A delayed acknowledgement would cost 40 ms for each small object.
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class LookaheadSocket(AssociationSocket):
    """A socket to which bytes can be put back after they were read, and which has a deadline for each PDU.

    Attributes:
        deadline: time (time.monotonic) at which a read fails; None: never. The socket's own timeout alone does not
            end the wait for a peer that sends single bytes slowly.
    """

    def __init__(self, association: Association, client_socket: socket.socket) -> None:
        super().__init__(association, client_socket)
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._put_back = b""
        self.deadline: float | None = None

    @property
    def _open_socket(self) -> socket.socket:
        if self.socket is None:
            raise ConnectionError
        return self.socket

    @property
    def ready(self) -> bool:
        """Whether something can be read. Uses poll: pynetdicom's select fails for descriptors above 1023."""
        if self._put_back or self.has_decrypted:
            return True
        if self.socket is None:
            return False
        poll = select.poll()
        try:
            poll.register(self.socket, select.POLLIN)
        except (OSError, ValueError):
            self.event_queue.put(CONNECTION_CLOSED)
            return False
        return bool(poll.poll(0))

    @property
    def has_decrypted(self) -> bool:
        """Whether TLS has bytes that were decrypted and not read: no poll tells of them."""
        return isinstance(self.socket, ssl.SSLSocket) and bool(self.socket.pending())

    def put_back(self, data: bytes) -> None:
        self._put_back = data + self._put_back

    def recv(self, nr_bytes: int) -> bytearray:
        """`nr_bytes` bytes, or fewer if the peer has closed the connection.

        Raises:
            TimeoutError: they did not arrive in time.
        """
        data = bytearray(nr_bytes)
        ahead = min(len(self._put_back), nr_bytes)
        data[:ahead] = self._put_back[:ahead]
        self._put_back = self._put_back[ahead:]
        read = ahead
        with memoryview(data) as view:
            while read < nr_bytes and (more := self._recv_into(view[read:])):
                read += more
        del data[read:]
        return data

    def read_some(self, most: int) -> bytes:
        """The bytes that are available, at most `most`; none if the peer has closed the connection."""
        if self._put_back:
            data, self._put_back = self._put_back, b""
            return data
        return self._open_socket.recv(most)

    def read_exactly(self, size: int) -> bytes:
        """Reads `size` bytes.

        Raises:
            ConnectionError: the peer closed the connection before.
            TimeoutError: they did not arrive in time.
        """
        data = self.recv(size)
        if len(data) < size:
            raise ConnectionError
        return bytes(data)

    def read_into_file(self, file: IncomingFile, size: int) -> None:
        """Reads `size` bytes directly into the file's buffer.

        Raises:
            ConnectionError: the peer closed the connection before.
            TimeoutError: they did not arrive in time.
        """
        while size:
            with file.room(size) as room:
                read = self._recv_into(room)
            if not read:
                raise ConnectionError
            file.took(read)
            size -= read

    def _recv_into(self, view: memoryview) -> int:
        """Reads what is there, and waits only if nothing is: socket.recv_into would ask the system to wait before each
        read, and to set the timeout before and after it. TLS must read for itself."""
        while True:
            connection = self._open_socket
            if isinstance(connection, ssl.SSLSocket):
                return self._decrypt_into(connection, view)
            try:
                return os.readv(connection.fileno(), (view,))
            except BlockingIOError:  # it has a timeout, which makes it non-blocking for the system
                self._wait(connection)

    def _decrypt_into(self, connection: ssl.SSLSocket, view: memoryview) -> int:
        timeout = connection.gettimeout()
        patience = self._patience(timeout)
        if patience is not None and patience <= 0:
            raise TimeoutError
        connection.settimeout(patience)
        try:
            return connection.recv_into(view)
        finally:
            connection.settimeout(timeout)

    def _patience(self, timeout: float | None) -> float | None:
        """Seconds that a read may still wait, of a socket with this timeout; None: for ever."""
        if self.deadline is None:
            return timeout
        left = self.deadline - time.monotonic()
        return left if timeout is None else min(left, timeout)

    def _wait(self, connection: socket.socket) -> None:
        patience = self._patience(connection.gettimeout())
        if _TCP_QUICKACK is not None:  # not sticky; acknowledges at once what was read
            connection.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if (patience is not None and patience <= 0) or not poll.poll(None if patience is None else patience * 1000):
            raise TimeoutError
