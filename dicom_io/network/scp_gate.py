"""Handles connections until their association request is complete.

One thread serves all connections that have not associated yet, with a selector and without polling. Such a connection
has no thread and no state machine, and no more memory than the bytes that it sent. It becomes an association if its
request is complete, comes from a known AE title, and a place is free.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pynetdicom.transport import AssociationServer

from dicom_io.network.places import NoPlace, Places
from dicom_io.network.scp_request import (
    FIXED,
    Names,
    NotARequest,
    UserIdentity,
    identity_in,
    length_of,
    names_in,
    tidy,
)
from dicom_io.network.tls import ServerTls, in_words, names_of

log = logging.getLogger(__name__)

_MOST_WAITING = 32
_BACKLOG = 128
_DRAIN_S = 2.0
"""A refused connection is closed after this time: closing it at once would make TCP discard the refusal."""
_PAUSE_S = 0.1
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_MOST_LOGGED = 1000
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


Judge = Callable[[Names, str, frozenset[str] | None], Refusal | None]
"""Returns the refusal for AE titles, an address, and the names of a certificate (None: without TLS) that may not
associate. It must not block."""


@dataclass(frozen=True)
class Admission:
    """Who may associate. `user`: that it proved to act for, as the audit trail names it; "" if none was demanded.
    `answers`: it is told that the user was accepted (PS3.7 section D.3.3.7.2)."""

    user: str = ""
    answers: bool = False


Identify = Callable[[Names, str, frozenset[str] | None, UserIdentity | None], Refusal | Admission]
"""The same once the whole request is there, by the user identity that it states."""
TellRefused = Callable[[str, str, str], None]
"""Called with the address of whoever is refused, of what kind the refusal is, and why in words. It must not block."""
_BUSY = Refusal(2, 3, 2, "the limit of associations, in total or for its address, is reached")


@dataclass(eq=False)
class _Waiting:
    """A connection that has not associated.

    Attributes:
        refused: it has got its refusal; what it still sends is discarded until it closes.
        shaken: its TLS handshake is complete, or it has none.
    """

    socket: socket.socket
    address: Any
    deadline: float
    request: bytearray = field(default_factory=bytearray)
    wanted: int = 6
    refused: bool = False
    shaken: bool = True

    @property
    def certificate(self) -> frozenset[str] | None:
        return names_of(self.socket) if isinstance(self.socket, ssl.SSLSocket) else None

    @property
    def host(self) -> str:
        return str(self.address[0])


class Gate(AssociationServer):
    """pynetdicom's server, which creates an association only once the request is complete.

    Attributes:
        judge, identify: decide who may not associate.
        places: the places of the associations, by address.
        places_of_titles: the same by calling AE title, of which only some have a limit.
        at_limit: told of a calling AE title whose own limit was reached.
        patience_s: time within which a request must arrive, with the TLS handshake before it.
        tls: of a server that takes connections by TLS alone.
        refused: told of each association that is refused, and of each failure of TLS.
    """

    request_queue_size = _BACKLOG
    judge: Judge
    identify: Identify
    places: Places[object]
    places_of_titles: Places[object]
    at_limit: Callable[[str], None]
    patience_s: float
    tls: ServerTls | None = None
    refused: TellRefused | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: Places[_Waiting] = Places(_MOST_WAITING, _MOST_WAITING)
        self._open: dict[_Waiting, None] = {}  # in order of arrival
        self._logged: dict[tuple[str, str], None] = {}
        self._wake_read, self._wake_write = socket.socketpair()
        # Made here and not in the thread, which would end unnoticed without a free descriptor.
        self._selector = selectors.DefaultSelector()
        self._stopped = threading.Event()
        self._stopping = False

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serves connections until `shutdown`."""
        assert self.socket is not None
        self.socket.setblocking(False)
        with self._selector as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select(self._until_next()):
                    if key.data is not None:
                        self._serve(key.data, selector)
                    elif key.fileobj is self.socket:
                        self._accept(selector)
                self._end_overdue(selector)
            for waiting in list(self._open):
                self._close(waiting, selector)
        self._stopped.set()

    def shutdown(self) -> None:
        """Closes all waiting connections and accepts no more."""
        self._stopping = True
        with suppress(OSError):
            self._wake_write.send(b"!")
        self._stopped.wait()
        self.server_close()
        self._wake_read.close()
        self._wake_write.close()
        self.ae._servers.remove(self)  # type: ignore[arg-type]

    def _until_next(self) -> float | None:
        first = next(iter(self._open), None)
        ends = [waiting.deadline for waiting in self._open if waiting.refused] + ([first.deadline] if first else [])
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _accept(self, selector: selectors.BaseSelector) -> None:
        assert self.socket is not None
        try:
            connection, address = self.socket.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                self._log_once("", f"a connection waits: {os.strerror(error.errno or 0)}")
                for waiting in list(self._open)[:1]:
                    self._close(waiting, selector)
                time.sleep(_PAUSE_S)  # the connection stays in the kernel's queue
            return
        connection.setblocking(False)
        if self.tls is not None:
            try:
                context = self.tls.context()
                connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            except OSError:  # it was closed meanwhile
                connection.close()
                return
        deadline = time.monotonic() + self.patience_s
        waiting = _Waiting(connection, address, deadline, shaken=self.tls is None)
        leaves = self._waiting.take(waiting, waiting.host, waits=True)
        if leaves is not None:
            self._close(leaves, selector)
        self._open[waiting] = None
        selector.register(connection, selectors.EVENT_READ, waiting)

    def _serve(self, waiting: _Waiting, selector: selectors.BaseSelector) -> None:
        try:
            if isinstance(waiting.socket, ssl.SSLSocket):  # it may have waited to write
                selector.modify(waiting.socket, selectors.EVENT_READ, waiting)
            if not waiting.shaken:
                waiting.socket.do_handshake()  # type: ignore[attr-defined]  # TLS's, if it is not shaken
                waiting.shaken = True
            self._read(waiting, selector)
            # What TLS has decrypted already wakes no selector.
            while waiting in self._open and isinstance(waiting.socket, ssl.SSLSocket) and waiting.socket.pending():
                self._read(waiting, selector)
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except ssl.SSLWantWriteError:
            selector.modify(waiting.socket, selectors.EVENT_WRITE, waiting)
        except NotARequest as fault:
            self._log_once(waiting.host, f"a connection from {waiting.host} is ended: {fault}")
            self._answer_and_drain(waiting, _ABORT)
        except OSError as fault:
            if not waiting.shaken:
                self._log_once(waiting.host, f"TLS with {waiting.host} failed: {_why(fault)}")
                if isinstance(fault, ssl.SSLError):
                    self._tell_refused(waiting, "TLS", f"TLS failed: {_why(fault)}")
            self._close(waiting, selector)
        except Exception as fault:  # noqa: BLE001 - an error of the node ends one connection, not all
            log.error("%s while a connection was read", type(fault).__name__)
            self._close(waiting, selector)

    def _read(self, waiting: _Waiting, selector: selectors.BaseSelector) -> None:
        """
        Raises:
            NotARequest: what was received is no association request.
        """
        data = waiting.socket.recv(4096 if waiting.refused else waiting.wanted - len(waiting.request))
        if not data:
            if not waiting.request:
                self._log_once(waiting.host, f"a connection from {waiting.host} was closed before it sent anything")
            self._close(waiting, selector)
            return
        if waiting.refused:
            return
        waiting.request += data
        if len(waiting.request) < waiting.wanted:
            return
        if waiting.wanted == 6:
            length_of(bytes(waiting.request))
            waiting.wanted = FIXED
        elif waiting.wanted == FIXED:
            self._judge(waiting)
            waiting.wanted = length_of(bytes(waiting.request[:6]))
        if len(waiting.request) == waiting.wanted and not waiting.refused:
            self._admit(waiting, selector)

    def _judge(self, waiting: _Waiting) -> None:
        if not waiting.request[7] & 1:
            self._refuse(waiting, Refusal(1, 2, 2, "it speaks another version of the protocol"))
        elif refusal := self.judge(names_in(bytes(waiting.request)), waiting.host, waiting.certificate):
            self._refuse(waiting, refusal)

    def _admit(self, waiting: _Waiting, selector: selectors.BaseSelector) -> None:
        stated = bytes(waiting.request)
        found = self.identify(names_in(stated), waiting.host, waiting.certificate, identity_in(stated))
        if isinstance(found, Refusal):
            self._refuse(waiting, found)
            return
        request = tidy(stated, answers_identity=found.answers)
        key, calling = object(), names_in(stated).calling
        try:
            self.places_of_titles.take(key, calling)
        except NoPlace:
            self.at_limit(calling)
            self._refuse(waiting, replace(_BUSY, why=f"the limit of associations of {calling!r} is reached"))
            return
        try:
            self.places.take(key, waiting.host)
        except NoPlace:
            self.places_of_titles.leave(key)
            self._refuse(waiting, _BUSY)
            return
        selector.unregister(waiting.socket)
        self._forget(waiting)
        try:
            waiting.socket.setblocking(True)
            self.RequestHandlerClass((request, waiting.socket, key, found.user), waiting.address, self)  # type: ignore[arg-type]
        except Exception as fault:  # noqa: BLE001 - for example no thread or descriptor is left: the others continue
            log.error("an association could not be started: %s", type(fault).__name__)
            self.leave(key)
            waiting.socket.close()

    def leave(self, key: object) -> None:
        """Gives the places of an association that has ended to others."""
        self.places.leave(key)
        self.places_of_titles.leave(key)

    def _refuse(self, waiting: _Waiting, refusal: Refusal) -> None:
        self._log_once(waiting.host, f"association refused: {refusal.why}")
        kind = f"association {refusal.result}.{refusal.source}.{refusal.reason}"
        self._tell_refused(waiting, kind, f"association refused: {refusal.why}")
        self._answer_and_drain(waiting, refusal.pdu)

    def _answer_and_drain(self, waiting: _Waiting, answer: bytes) -> None:
        waiting.refused = True
        waiting.deadline = min(waiting.deadline, time.monotonic() + _DRAIN_S)
        with suppress(OSError):
            waiting.socket.send(answer)
            waiting.socket.shutdown(socket.SHUT_WR)

    def _tell_refused(self, waiting: _Waiting, kind: str, why: str) -> None:
        if self.refused is not None:
            self.refused(waiting.host, kind, why)

    def _end_overdue(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        for waiting in [waiting for waiting in self._open if waiting.deadline <= now]:
            if not waiting.refused:
                self._log_once(
                    waiting.host,
                    f"a connection from {waiting.host} sent no association request within {self.patience_s:g} s",
                )
            self._close(waiting, selector)

    def _close(self, waiting: _Waiting, selector: selectors.BaseSelector) -> None:
        with suppress(KeyError, ValueError):
            selector.unregister(waiting.socket)
        self._forget(waiting)
        waiting.socket.close()

    def _forget(self, waiting: _Waiting) -> None:
        self._open.pop(waiting, None)
        self._waiting.leave(waiting)

    def _log_once(self, host: str, message: str) -> None:
        """Logs a message once: monitoring probes repeat it every few seconds, for years."""
        if (host, message) not in self._logged:
            if len(self._logged) >= _MOST_LOGGED:
                self._logged.clear()
            self._logged[host, message] = None
            log.warning("%s (logged once)", message)


def _why(fault: OSError) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"its certificate: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        return in_words(fault)
    return "the connection was closed"
