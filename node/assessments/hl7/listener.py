"""The listener for HL7 messages: MLLP release 1 (HL7 v2 transport specification), <VT> message <FS> <CR>."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from dicom_io.errors import NotListening
from dicom_io.network.places import NoPlace, Places
from dicom_io.network.tls import ServerTls, in_words

log = logging.getLogger(__name__)

START, END = b"\x0b", b"\x1c"
MOST_CONNECTIONS = 32
MOST_PER_ADDRESS = 16
FRAME_S = 60.0
HANDSHAKE_S = 10.0
MOST_DISCARDED = 1 << 30
"""Bytes that are read and discarded after the answer to a message that is too large."""
_CHUNK = 1 << 16


def listen(host: str, port: int) -> socket.socket:
    """Opens the listening socket.

    Raises:
        NotListening: the address cannot be bound.
    """
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise NotListening(
            f"Cannot listen for HL7 on {host}:{port}: {error.strerror}. Set another hl7.port or hl7.host."
        ) from error


class Note(Protocol):
    """Is called when a connection begins (`waits`) or ends to wait for its next message."""

    def __call__(self, *, waits: bool) -> None: ...


@dataclass(frozen=True)
class MllpListener:
    """Listens for messages. A connection may send many; each is answered before the next one is read.

    Attributes:
        listening: the socket, see `listen`.
        may_send: whether a connection from an address is accepted; it must not block.
        answer: returns the acknowledgement of a message, from its bytes and the sender's address; called in threads.
        max_bytes: size limit of a message.
        too_large: returns the acknowledgement of a message above `max_bytes`. Its connection is closed after the sender
            has closed it, or after `frame_s` seconds or MOST_DISCARDED bytes.
        frame_s: seconds within which a message must end after its first byte. Between messages a connection may be idle
            until a new connection needs its place.
        tls: of a listener that takes connections by TLS alone.
        tell_refused: told of whoever may not send, and of each failure of TLS and too large message: address, kind, and
            why in words.
    """

    listening: socket.socket
    may_send: Callable[[str], bool]
    answer: Callable[[bytes, str], bytes]
    too_large: Callable[[], bytes]
    max_bytes: int
    frame_s: float = FRAME_S
    tls: ServerTls | None = None
    tell_refused: Callable[[str, str, str], None] = lambda host, kind, why: None

    def run(self, stop: threading.Event) -> None:
        """Listens until `stop` is set. A message that is being handled then is still stored, but its acknowledgement
        may be lost, so that the sender sends it again."""
        asyncio.run(self._serve(stop))

    async def _serve(self, stop: threading.Event) -> None:
        connections: Places[asyncio.Task[None]] = Places(MOST_CONNECTIONS, MOST_PER_ADDRESS)
        running: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = cast("asyncio.Task[None]", asyncio.current_task())
            host = str(writer.get_extra_info("peername")[0])
            running.add(task)
            try:
                if not self.may_send(host):
                    log.warning("an HL7 connection is refused: %s may not send (hl7.sender_hosts)", host)
                    self.tell_refused(host, "HL7", "an HL7 connection is refused: it may not send (hl7.sender_hosts)")
                    return
                idlest = connections.take(task, host, waits=True)
                if idlest is not None:
                    log.info("an idle HL7 connection is closed: a new one needs its place")
                    idlest.cancel()
                # Keepalive detects a peer that was switched off, and frees its place.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if self.tls is not None:
                    # Only now: who may not send, and who has no place, takes no handshake. Nothing is awaited before:
                    # what the sender has sent by then would be lost to TLS.
                    connections.note(task, waits=True)
                    await writer.start_tls(self.tls.context(), ssl_handshake_timeout=HANDSHAKE_S)
                await self._answer_messages(reader, writer, host, partial(connections.note, task))
            except NoPlace:
                log.warning("an HL7 connection is refused: too many connections, in total or from its address")
            except ssl.SSLError as error:
                log.warning("TLS of an HL7 connection from %s failed: %s", host, in_words(error))
                self.tell_refused(host, "HL7 TLS", f"TLS of an HL7 connection failed: {in_words(error)}")
            except ConnectionError:
                log.info("an HL7 connection was lost")
            except asyncio.CancelledError:
                log.info("an HL7 connection is closed")
            finally:
                running.discard(task)
                connections.leave(task)
                writer.close()

        server = await asyncio.start_server(connected, sock=self.listening, limit=self.max_bytes)
        await asyncio.to_thread(stop.wait)
        server.close()
        ending = list(running)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _answer_messages(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, note: Note
    ) -> None:
        while True:
            begin = await reader.read(1)
            if begin in (b"\r", b"\n"):  # after the end of the message before
                continue
            note(waits=True)  # idle from now on, until a message is complete
            try:
                async with asyncio.timeout(self.frame_s):
                    read = begin + await reader.readuntil(END) if begin != END else END
            except TimeoutError:
                log.warning("an HL7 connection is closed: its message did not end within %g s", self.frame_s)
                return
            except asyncio.IncompleteReadError:
                if begin:
                    log.warning("an HL7 connection ended within a message")
                return
            except asyncio.LimitOverrunError:
                self.tell_refused(host, "HL7 size", "an HL7 message is refused: it is too large (hl7.max_message_kb)")
                writer.write(_framed(self.too_large()))
                if writer.can_write_eof():  # TLS cannot
                    writer.write_eof()
                await self._discard_rest(reader)
                return
            # Bytes before the start byte belong to no message.
            _, _, block = read.removesuffix(END).rpartition(START)
            note(waits=False)
            writer.write(_framed(await asyncio.to_thread(self.answer, block, host)))
            note(waits=True)
            await writer.drain()

    async def _discard_rest(self, reader: asyncio.StreamReader) -> None:
        """Reads and discards what the sender still sends, until it closes the connection. Closing earlier would reset
        the connection, and the sender could lose the answer (RFC 9293, section 3.6.1)."""
        bytes_left = MOST_DISCARDED
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.frame_s):
                while bytes_left > 0 and (read := await reader.read(_CHUNK)):
                    bytes_left -= len(read)


def _framed(message: bytes) -> bytes:
    return START + message + END + b"\r"
