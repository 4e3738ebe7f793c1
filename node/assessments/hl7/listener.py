"""The listener for HL7 messages: MLLP, release 1 (HL7 v2 transport specification): <VT> message <FS> <CR>."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from dicom_io.errors import NotListening
from dicom_io.network.places import NoPlace, Places

log = logging.getLogger(__name__)

START, END = b"\x0b", b"\x1c"
MOST_CONNECTIONS = 32
MOST_OF_ONE = 16
FRAME_S = 60.0
MOST_READ_AWAY = 1 << 30
"""Bytes of a message that is too large, behind its answer. None of them is kept."""
_PIECE = 1 << 16


def listen(host: str, port: int) -> socket.socket:
    """The listening socket.

    Raises:
        NotListening: the address cannot be had.
    """
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise NotListening(
            f"Cannot listen for HL7 on {host}:{port}: {error.strerror}. Set another hl7.port or hl7.host."
        ) from error


class Note(Protocol):
    """Hears whether a connection waits for its next message from now on."""

    def __call__(self, *, waits: bool) -> None: ...


@dataclass(frozen=True)
class MllpListener:
    """Has every message answered before it reads the next one of the same connection, of which there may be many.

    Attributes:
        listening: see `listen`.
        may_send: whether a connection from an address is taken; it must not wait for anything.
        answer: the acknowledgement of a message, from its bytes and its sender's address; called in threads.
        too_large: that of a message of more than `max_bytes`, whose connection is ended once its sender has closed it,
            or after `frame_s` or MOST_READ_AWAY.
        frame_s: seconds within which a message that has begun must end. Between messages a connection may be idle for
            as long as nobody else needs its place.
    """

    listening: socket.socket
    may_send: Callable[[str], bool]
    answer: Callable[[bytes, str], bytes]
    too_large: Callable[[], bytes]
    max_bytes: int
    frame_s: float = FRAME_S

    def run(self, stop: threading.Event) -> None:
        """Listens until `stop` is set. A message that is being read is still entered; its sender may have to send it
        again."""
        asyncio.run(self._serve(stop))

    async def _serve(self, stop: threading.Event) -> None:
        connections: Places[asyncio.Task[None]] = Places(MOST_CONNECTIONS, MOST_OF_ONE)
        running: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = cast("asyncio.Task[None]", asyncio.current_task())
            host = str(writer.get_extra_info("peername")[0])
            running.add(task)
            try:
                if not self.may_send(host):
                    log.warning("an HL7 connection is refused: %s may not send (hl7.sender_hosts)", host)
                    return
                idlest = connections.take(task, host, waits=True)
                if idlest is not None:
                    log.info("an idle HL7 connection is ended: another needs its place")
                    idlest.cancel()
                # A peer that was switched off says nothing any more: without this its place is free too late.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                await self._converse(reader, writer, host, partial(connections.note, task))
            except NoPlace:
                log.warning("an HL7 connection is refused: all places are taken, or all of its address")
            except ConnectionError:
                log.info("an HL7 connection broke")
            except asyncio.CancelledError:
                log.info("an HL7 connection is ended")
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

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, note: Note
    ) -> None:
        while True:
            begin = await reader.read(1)
            if begin in (b"\r", b"\n"):  # behind the message before
                continue
            note(waits=True)  # it goes after those that have said nothing for longer
            try:
                async with asyncio.timeout(self.frame_s):
                    read = begin + await reader.readuntil(END) if begin != END else END
            except TimeoutError:
                log.warning("an HL7 connection is ended: its message did not end within %g s", self.frame_s)
                return
            except asyncio.IncompleteReadError:
                if begin:
                    log.warning("an HL7 connection ended within a message")
                return
            except asyncio.LimitOverrunError:
                writer.write(_framed(self.too_large()))
                writer.write_eof()
                await self._read_away(reader)
                return
            # What stands before the start belongs to no message.
            _, _, block = read.removesuffix(END).rpartition(START)
            note(waits=False)
            writer.write(_framed(await asyncio.to_thread(self.answer, block, host)))
            note(waits=True)
            await writer.drain()

    async def _read_away(self, reader: asyncio.StreamReader) -> None:
        """Reads what a sender that is answered still sends, until it closes: to close before it does would reset the
        connection, and the answer would be lost on its way (RFC 9293, section 3.6.1)."""
        bytes_left = MOST_READ_AWAY
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.frame_s):
                while bytes_left > 0 and (read := await reader.read(_PIECE)):
                    bytes_left -= len(read)


def _framed(message: bytes) -> bytes:
    return START + message + END + b"\r"
