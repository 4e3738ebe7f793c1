"""A running listener on 127.0.0.1: any peer is answered or disconnected, and the next sender is served."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import wire
from dicom_bytes import INSTANCE, MAMMOGRAM, STUDY, apply, changes, images, instance_uid, study_uid
from hypothesis import strategies as some
from logged import Logged
from receiving_half import ReceivingHalf, orphans

__all__ = ["MODULES", "inputs", "opened", "orphans"]

MODULES = (
    "dicom_io/network/answers.py",
    "dicom_io/network/incoming.py",
    "dicom_io/network/places.py",
    "dicom_io/network/scp.py",
    "dicom_io/network/scp_contexts.py",
    "dicom_io/network/scp_gate.py",
    "dicom_io/network/scp_request.py",
    "dicom_io/network/scp_stream.py",
    "node/intake/register.py",
    "node/intake/receiving.py",
)
KEPT = 1
_ENDS_WITHIN_S = 10.0
_BATCH = 100
"""After so many connections a correct sender must be served, and leftovers are counted."""
_VERIFICATION, _COMMITMENT = "1.2.840.10008.1.1", "1.2.840.10008.1.20.1"
_CONTEXTS = (
    wire.context(1, MAMMOGRAM),
    wire.context(3, _VERIFICATION, wire.IMPLICIT),
    wire.context(5, _COMMITMENT),
    wire.context(7, MAMMOGRAM, wire.IMPLICIT, "1.2.840.10008.1.2.4.70"),
    wire.context(9, "1.2.840.10008.5.1.4.31", wire.IMPLICIT),
)
_GOOD = wire.association_request(contexts=_CONTEXTS)
"""The answer to this message is awaited before more is sent."""
_NASTY_CONTEXTS = (
    wire.context(2, MAMMOGRAM),
    wire.context(1, _VERIFICATION),
    wire.context(255, "", ""),
    wire.context(11, "1.2." + "3" * 70, "x"),
    wire.item(0x20, b""),
    wire.item(0x20, b"\x0d\0\0\0" + wire.item(0x40, b"1.2") * 200),
    wire.item(0x10, b"1.2"),
    wire.item(0x99, b"\0" * 50),
    b"\x20\0\xff\xff",
)
_USER_ITEMS = (
    wire.item(0x51, b"\0\0\0\1"),
    wire.item(0x53, b"\0\1\0\1"),
    wire.item(0x54, struct.pack(">H", 17) + _COMMITMENT[:17].encode() + b"\1\1"),
    wire.item(0x54, b"\xff\xff"),
    wire.item(0x55, b"V" * 60),
    wire.item(0x56, b"\0\3abc\0\1x"),
    wire.item(0x58, b"\1\1\0\4user\0\0"),
    wire.item(0x58, b"\2\1\xff\xff"),
)
_COMMANDS = (0x0001, 0x8001, 0x0010, 0x0020, 0x0021, 0x0030, 0x8030, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150,
             0x0FFF, 0x0000, 0xFFFF)  # fmt: skip
_ELEMENTS = (0x0002, 0x0003, 0x0100, 0x0110, 0x0120, 0x0600, 0x0700, 0x0800, 0x0900, 0x1000, 0x1001, 0x1002, 0x1005,
             0x1008, 0x1021, 0x1030, 0x1031)  # fmt: skip
_short = some.sampled_from([b"", b"\0", b"\1\0", b"\1\1", b"\xff\xff", b"\0\0\0\0", b"1.2.3", b"9" * 65, b"\xff" * 9])
_control = some.sampled_from([0, wire.COMMAND, wire.LAST, wire.COMMAND | wire.LAST, 0xFF])


@some.composite
def _requests(drawn: some.DrawFn) -> bytes:
    """Association requests, hardly any of them well-formed."""
    contexts = drawn(some.lists(some.sampled_from(_CONTEXTS + _NASTY_CONTEXTS), max_size=6))
    request = wire.association_request(
        calling=drawn(some.sampled_from([b"PACS", b"PACS\0", b" PACS", b"", b"\xff" * 16, b"OTHER"])),
        called=drawn(some.sampled_from([b"NODE", b"NODE", b"NODE\0\0", b"", b"ELSE"])),
        contexts=contexts * drawn(some.sampled_from([1, 1, 1, 40])),
        more=b"".join(drawn(some.lists(some.sampled_from(_USER_ITEMS), max_size=3))),
    )
    for change in drawn(some.lists(changes(min(len(request), 400)), max_size=2)):
        request = apply(request, change)
    return request


def _store(data: bytes, sop_class: bytes = MAMMOGRAM.encode()) -> tuple[list[tuple[int, bytes]], bytes]:
    return [
        (0x0002, sop_class), (0x0100, b"\1\0"), (0x0110, b"\1\0"), (0x0700, b"\0\0"), (0x0800, b"\1\0"),
        (0x1000, INSTANCE),
    ], data  # fmt: skip


@some.composite
def _messages(drawn: some.DrawFn) -> bytes:
    """A request and its data set in PDUs, sometimes one or the other damaged."""
    data = images()[0][1]
    kind = drawn(some.sampled_from(["store", "store", "store", "echo", "report", "command"]))
    context_id = {"echo": 3, "report": 5}.get(kind, 1)
    match kind:
        case "echo":
            elements, data = [(0x0002, _VERIFICATION.encode()), (0x0100, b"\x30\0"), (0x0110, b"\2\0"),
                              (0x0800, b"\1\1")], b""  # fmt: skip
        case "report":
            elements = [(0x0002, _COMMITMENT.encode()), (0x0100, b"\0\1"), (0x0110, b"\3\0"), (0x0800, b"\1\0"),
                        (0x1000, b"1.2.840.10008.1.20.1.1"), (0x1002, b"\1\0")]  # fmt: skip
            data = struct.pack("<HH2sH", 0x0008, 0x1195, b"UI", 6) + b"1.2.3\0" + data[:200]
        case "command":
            elements, data = [(0x0100, struct.pack("<H", drawn(some.sampled_from(_COMMANDS)))), (0x0800, b"\1\1")], b""
        case _:
            elements, data = _store(data)
    if drawn(some.integers(0, 2)) == 0:
        number, value = drawn(some.sampled_from(_ELEMENTS)), drawn(_short)
        kept = [element for element in elements if element[0] != number]
        elements = sorted([*kept, (number, value)]) if drawn(some.booleans()) else kept
    command = wire.command(*elements)
    for change in drawn(some.lists(changes(len(command)), max_size=1)) if drawn(some.integers(0, 3)) == 0 else ():
        command = apply(command, change)
    for change in drawn(some.lists(changes(len(data)), max_size=2)) if drawn(some.integers(0, 2)) == 0 else ():
        data = apply(data, change)
    if drawn(some.integers(0, 7)) == 0:
        context_id = drawn(some.sampled_from([0, 1, 2, 3, 5, 7, 9, 11, 255]))
    values = [
        *_fragments(command, context_id, wire.COMMAND, drawn(some.sampled_from([1 << 14, 50, 7]))),
        *_fragments(data, context_id, 0, drawn(some.sampled_from([1 << 14, 400, 90]))),
    ]
    if drawn(some.integers(0, 5)) == 0:
        odd = wire.pdv(drawn(some.sampled_from([1, 1, 3, 0])), drawn(_control), drawn(_short))
        values.insert(drawn(some.integers(0, len(values))), odd)
    together = drawn(some.sampled_from([1, 1, 3, 100]))
    return b"".join(wire.pdu(4, b"".join(values[at : at + together])) for at in range(0, len(values), together))


def _fragments(whole: bytes, context_id: int, kind: int, size: int) -> Iterator[bytes]:
    for at in range(0, len(whole), size):
        last = wire.LAST if at + size >= len(whole) else 0
        yield wire.pdv(context_id, kind | last, whole[at : at + size])


_other_pdus = some.sampled_from(
    [
        wire.pdu(5, bytes(4)),
        wire.pdu(5, b""),
        wire.pdu(6, bytes(4)),
        wire.pdu(7, bytes(4)),
        wire.pdu(7, b"\0\0\2\xff"),
        wire.pdu(7, b""),
        wire.pdu(2, b""),
        wire.pdu(3, b"\0\1\1\1"),
        wire.pdu(4, b""),
        wire.pdu(4, b"\0\0\0\0"),
        wire.pdu(4, b"\0\0\0\1\1"),
        wire.pdu(4, b"\xff\xff\xff\xff\1\2"),
        b"\4\0\xff\xff\xff\xff",
        wire.association_request(),
        wire.pdu(0x99, b"\0" * 20),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\3\1\2\0\1\0\1\xfc\3\3",
    ]
) | some.builds(wire.pdu, some.integers(0, 8), some.binary(max_size=40))


@some.composite
def inputs(drawn: some.DrawFn) -> bytes:
    """The size of the writes (0: a single one) and their bytes: an association request and what follows."""
    request = _GOOD if drawn(some.integers(0, 3)) else drawn(_requests())
    parts = drawn(some.lists(_messages() | _messages() | _other_pdus, max_size=5))
    stream = b"".join(parts)
    if drawn(some.integers(0, 2)) == 0:
        for change in drawn(some.lists(changes(len(stream)), max_size=2)):
            stream = apply(stream, change)
    elif drawn(some.booleans()):
        stream += wire.pdu(5, bytes(4))
    return bytes([drawn(some.sampled_from([0, 0, 0, 250, 60, 10]))]) + request + stream


class _Peer:
    """A connection: what was written and what was received."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_ENDS_WITHIN_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard = b""

    def say(self, stream: bytes, size: int) -> None:
        for at in range(0, len(stream), size):
            self.socket.sendall(stream[at : at + size])

    def hear(self) -> bool:
        """Whether the node sent something more and has not closed the connection."""
        more = self.socket.recv(1 << 16)
        self.heard += more
        return bool(more)

    def kinds(self) -> Sequence[int]:
        """Of the received PDUs."""
        found, at = [], 0
        while at + 6 <= len(self.heard):
            kind, size = struct.unpack_from(">BxL", self.heard, at)
            found.append(kind)
            at += 6 + size
        return found


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], str]]:
    from dicom_io.network.scp import AllowedSender, Listener, ListenerLimits

    half, logged = ReceivingHalf(folder), Logged()
    incoming = half.receiving.incoming
    senders = [AllowedSender("PACS"), AllowedSender("GOOD")]
    limits = ListenerLimits(max_image_bytes=1 << 20, association_timeout_s=5, idle_timeout_s=5)
    listener = Listener("NODE", "127.0.0.1", 0, senders, incoming, half.receiving, limits, hear=lambda report: True)
    listener.start()
    numbers = count(1)

    def run(data: bytes) -> str:
        number = next(numbers)
        became = _talk(listener.port, _unique(data, number))
        logged.check()
        if number % _BATCH == 0:
            _settle(incoming)
            _serve_a_sender(listener.port, next(numbers))
            half.empty()
            logged.check()
        return became

    _serve_a_sender(listener.port, next(numbers))
    usual = _resources()

    def _settle(incoming: Path) -> None:
        """All associations have ended and left no threads, descriptors or files."""
        deadline = time.monotonic() + _ENDS_WITHIN_S
        while (left := _resources()) > usual or any(incoming.iterdir()):
            assert time.monotonic() < deadline, f"left behind: {left} for {usual}, or a file: {_open_files()}"
            time.sleep(0.01)
            gc.collect()

    yield run
    listener.stop(grace_s=1)


def _open_files() -> list[str]:
    """What each descriptor refers to, and the threads."""
    names = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sorted(names) + [thread.name for thread in threading.enumerate()]


def _resources() -> tuple[int, int]:
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def _unique(data: bytes, number: int) -> bytes:
    return data.replace(INSTANCE, instance_uid(number)).replace(STUDY, study_uid(number))


def _talk(port: int, data: bytes) -> str:
    """Sends everything, then nothing more, and reads until the node ends the connection, which it must."""
    size, stream = data[0] or 1 << 16, data[1:]
    peer = _Peer(port)
    with peer.socket:
        try:
            if stream.startswith(_GOOD):
                peer.say(_GOOD, size)
                peer.hear()
                stream = stream[len(_GOOD) :]
            peer.say(stream, size)
            peer.socket.shutdown(socket.SHUT_WR)
            while peer.hear():
                pass
        except TimeoutError:
            raise AssertionError(f"no end within {_ENDS_WITHIN_S:g} s") from None
        except OSError:  # closed while data was sent
            pass
    kinds = peer.kinds()
    names = {2: "accepted", 3: "rejected", 4: "answered", 6: "released", 7: "aborted"}
    ended = next((names.get(kind, f"PDU {kind}") for kind in kinds[::-1] if kind != 4), "closed")
    return f"{ended}, {names[4]}" if 4 in kinds else ended


def _serve_a_sender(port: int, number: int) -> None:
    with wire.Wire.to(port) as sender:
        assert sender.associate(calling=b"GOOD") == 2, "a sender that knows the protocol was not taken"
        sender.send(wire.one_store(1, _unique(images()[0][1], number), instance_uid(number).decode()))
        status = sender.status()
        assert status == 0, f"a mammogram was not taken: {status:#06x}"
        sender.send(wire.pdu(5, bytes(4)))
        assert sender.pdu()[0] == 6
