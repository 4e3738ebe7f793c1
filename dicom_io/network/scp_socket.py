"""A socket whose bytes go where they belong without a copy, in a time that is limited (see scp_stream.py)."""

from __future__ import annotations

import select
import socket
import time

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from dicom_io.network.incoming import IncomingFile

CONNECTION_CLOSED = "Evt17"
# Many senders write a command and its data set in two calls with Nagle's algorithm on: the second waits until the first
# is acknowledged, and an acknowledgement that waits for company in its turn costs each small object 40 ms.
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class LookaheadSocket(AssociationSocket):
    """A socket whose first bytes may be read, and put back for somebody else to read; with a time for each PDU.

    Attributes:
        deadline: until when (time.monotonic) all that is asked for must have come; None: for ever. Without it a peer
            that sends a byte now and then would be waited for.
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
        """Whether something can be read. pynetdicom's select knows no descriptor above 1023."""
        if self._put_back:
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

    def put_back(self, data: bytes) -> None:
        self._put_back = data + self._put_back

    def recv(self, nr_bytes: int) -> bytearray:
        """`nr_bytes`, or fewer where the peer has closed the connection.

        Raises:
            TimeoutError: they did not come in time.
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
        if _TCP_QUICKACK is not None:  # not sticky: asked for anew after every read
            self._open_socket.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)
        return data

    def read_some(self, most: int) -> bytes:
        """What has come, `most` bytes of it; none where the peer has closed the connection."""
        if self._put_back:
            data, self._put_back = self._put_back, b""
            return data
        return self._open_socket.recv(most)

    def read_exactly(self, size: int) -> bytes:
        """
        Raises:
            ConnectionError: the peer closed the connection before.
            TimeoutError: they did not come in time.
        """
        data = self.recv(size)
        if len(data) < size:
            raise ConnectionError
        return bytes(data)

    def read_into_file(self, file: IncomingFile, size: int) -> None:
        """Reads `size` bytes straight into the file's buffer.

        Raises:
            ConnectionError: the peer closed the connection before.
            TimeoutError: they did not come in time.
        """
        while size:
            with file.room(size) as room:
                read = self._recv_into(room)
            if not read:
                raise ConnectionError
            file.took(read)
            size -= read

    def _recv_into(self, view: memoryview) -> int:
        connection = self._open_socket
        if self.deadline is None:
            return connection.recv_into(view)
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        patience = connection.gettimeout()
        connection.settimeout(left if patience is None else min(left, patience))
        try:
            return connection.recv_into(view)
        finally:
            connection.settimeout(patience)
