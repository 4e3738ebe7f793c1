"""Where connections wait until they have said what they want.

One thread looks after all connections that have not associated yet. None of them has a thread, a state machine or more
memory than what it has sent; a peer that closes is noticed at once, and nothing is asked over and over. Only a whole
request from a known AE title, for which there is a place, becomes an association.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pynetdicom.transport import AssociationServer

from dicom_io.network.places import NoPlace, Places
from dicom_io.network.scp_request import FIXED, Names, NotARequest, length_of, names_in, tidy

log = logging.getLogger(__name__)

_MOST_WAITING = 32
_BACKLOG = 128
_FAREWELL_S = 2.0
"""How long a connection that was refused may still send: closed at once, TCP would take the refusal back."""
_BREATH_S = 0.1
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_MOST_REMEMBERED = 1000
_ABORT = struct.pack(">BxLxxBB", 7, 4, 2, 6)  # by the service provider: invalid PDU parameter (PS3.8 section 9.3.8)


@dataclass(frozen=True)
class Refusal:
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 section 9.3.4), and why, for the log."""

    result: int
    source: int
    reason: int
    why: str

    @property
    def pdu(self) -> bytes:
        return struct.pack(">BxLxBBB", 3, 4, self.result, self.source, self.reason)


Judge = Callable[[Names, str], Refusal | None]
"""Says by their AE titles and address who may not associate. It must not wait for anything."""
_BUSY = Refusal(2, 3, 2, "there are as many associations as there may be, in all or of its address")


@dataclass(eq=False)
class _Waiting:
    """A connection that has not associated.

    Attributes:
        refused: it has its answer; what it still sends is dropped until it closes.
    """

    socket: socket.socket
    address: Any
    deadline: float
    request: bytearray = field(default_factory=bytearray)
    wanted: int = 6
    refused: bool = False

    @property
    def host(self) -> str:
        return str(self.address[0])


class Gate(AssociationServer):
    """pynetdicom's server, which takes a connection only when its request is whole.

    Attributes:
        judge: who may not associate.
        places: of the associations.
        patience_s: within which a request must have come.
    """

    request_queue_size = _BACKLOG
    judge: Judge
    places: Places[object]
    patience_s: float

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: Places[_Waiting] = Places(_MOST_WAITING, _MOST_WAITING)
        self._open: dict[_Waiting, None] = {}  # the longest waiting first
        self._told: dict[tuple[str, str], None] = {}
        self._bell, self._clapper = socket.socketpair()
        self._selector = selectors.DefaultSelector()  # here: a thread that lacked its descriptor would end unheard
        self._stopped = threading.Event()
        self._stopping = False

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Until `shutdown`."""
        assert self.socket is not None
        self.socket.setblocking(False)
        with self._selector as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._bell, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select(self._until_next()):
                    if key.data is not None:
                        self._hear(key.data, selector)
                    elif key.fileobj is self.socket:
                        self._welcome(selector)
                self._end_overdue(selector)
            for one in list(self._open):
                self._close(one, selector)
        self._stopped.set()

    def shutdown(self) -> None:
        """Ends what waits, and takes no more."""
        self._stopping = True
        with suppress(OSError):
            self._clapper.send(b"!")
        self._stopped.wait()
        self.server_close()
        self._bell.close()
        self._clapper.close()
        self.ae._servers.remove(self)  # type: ignore[arg-type]

    def _until_next(self) -> float | None:
        first = next(iter(self._open), None)
        ends = [one.deadline for one in self._open if one.refused] + ([first.deadline] if first else [])
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _welcome(self, selector: selectors.BaseSelector) -> None:
        assert self.socket is not None
        try:
            connection, address = self.socket.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                self._tell("", f"a connection waits: {os.strerror(error.errno or 0)}")
                for one in list(self._open)[:1]:
                    self._close(one, selector)
                time.sleep(_BREATH_S)  # it stays in the kernel's queue
            return
        connection.setblocking(False)
        one = _Waiting(connection, address, time.monotonic() + self.patience_s)
        leaves = self._waiting.take(one, one.host, waits=True)
        if leaves is not None:
            self._close(leaves, selector)
        self._open[one] = None
        selector.register(connection, selectors.EVENT_READ, one)

    def _hear(self, one: _Waiting, selector: selectors.BaseSelector) -> None:
        try:
            self._read(one, selector)
        except BlockingIOError:
            pass
        except (NotARequest, OSError) as fault:
            if isinstance(fault, NotARequest):
                self._tell(one.host, f"a connection from {one.host} is ended: {fault}")
                self._dismiss(one, _ABORT)
            else:
                self._close(one, selector)
        except Exception as fault:  # noqa: BLE001 - a fault of ours ends one connection, not all
            log.error("%s while a connection was looked at", type(fault).__name__)
            self._close(one, selector)

    def _read(self, one: _Waiting, selector: selectors.BaseSelector) -> None:
        """
        Raises:
            NotARequest: what came is none.
        """
        data = one.socket.recv(4096 if one.refused else one.wanted - len(one.request))
        if not data:
            if not one.request:
                self._tell(one.host, f"a connection from {one.host} was closed before it said anything")
            self._close(one, selector)
            return
        if one.refused:
            return
        one.request += data
        if len(one.request) < one.wanted:
            return
        if one.wanted == 6:
            length_of(bytes(one.request))
            one.wanted = FIXED
        elif one.wanted == FIXED:
            self._judge(one)
            one.wanted = length_of(bytes(one.request[:6]))
        if len(one.request) == one.wanted and not one.refused:
            self._admit(one, selector)

    def _judge(self, one: _Waiting) -> None:
        if not one.request[7] & 1:
            self._refuse(one, Refusal(1, 2, 2, "it speaks another version of the protocol"))
        elif refusal := self.judge(names_in(bytes(one.request)), one.host):
            self._refuse(one, refusal)

    def _admit(self, one: _Waiting, selector: selectors.BaseSelector) -> None:
        request = tidy(bytes(one.request))
        key = object()
        try:
            self.places.take(key, one.host)
        except NoPlace:
            self._refuse(one, _BUSY)
            return
        selector.unregister(one.socket)
        self._forget(one)
        try:
            one.socket.setblocking(True)
            self.RequestHandlerClass((request, one.socket, key), one.address, self)  # type: ignore[arg-type]
        except Exception as fault:  # noqa: BLE001 - no thread or descriptor left, say: the others go on
            log.error("an association could not be begun: %s", type(fault).__name__)
            self.places.leave(key)
            one.socket.close()

    def _refuse(self, one: _Waiting, refusal: Refusal) -> None:
        self._tell(one.host, f"association refused: {refusal.why}")
        self._dismiss(one, refusal.pdu)

    def _dismiss(self, one: _Waiting, answer: bytes) -> None:
        one.refused = True
        one.deadline = min(one.deadline, time.monotonic() + _FAREWELL_S)
        with suppress(OSError):
            one.socket.send(answer)
            one.socket.shutdown(socket.SHUT_WR)

    def _end_overdue(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        for one in [one for one in self._open if one.deadline <= now]:
            if not one.refused:
                self._tell(one.host, f"a connection from {one.host} asked for nothing within {self.patience_s:g} s")
            self._close(one, selector)

    def _close(self, one: _Waiting, selector: selectors.BaseSelector) -> None:
        with suppress(KeyError, ValueError):
            selector.unregister(one.socket)
        self._forget(one)
        one.socket.close()

    def _forget(self, one: _Waiting) -> None:
        self._open.pop(one, None)
        self._waiting.leave(one)

    def _tell(self, host: str, message: str) -> None:
        """Logs what is new. Probes come every few seconds, for years."""
        if (host, message) not in self._told:
            if len(self._told) >= _MOST_REMEMBERED:
                self._told.clear()
            self._told[host, message] = None
            log.warning("%s (told once)", message)
