"""DICOM's upper layer, byte by byte: what a test says where a well-bred application would not."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hypothesis import strategies
from hypothesis.strategies import DrawFn

COMMAND, LAST = 0x01, 0x02
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
WAITS_S = 60
"""How long a test waits for an answer: far longer than the slowest machine takes to give it."""


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(body)) + body


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def context(context_id: int, abstract: str = MAMMOGRAPHY, *syntaxes: str) -> bytes:
    inside = item(0x30, abstract.encode()) + b"".join(item(0x40, entry.encode()) for entry in syntaxes or (EXPLICIT,))
    return item(0x20, struct.pack(">Bxxx", context_id) + inside)


def association_request(
    calling: bytes = b"PACS",
    called: bytes = b"NODE",
    contexts: Sequence[bytes] = (context(1),),
    version: bytes = b"TEST",
    more: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 section 9.3.2); `more` are further items of the user information."""
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3") + item(0x55, version) + more
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16), calling.ljust(16))
    return pdu(1, body + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts) + item(0x50, user))


def command(*elements: tuple[int, bytes]) -> bytes:
    """A command set (PS3.7 section 6.3.1) of (element number of group 0000, value)."""
    encoded = b"".join(
        struct.pack("<HHL", 0, number, len(value) + len(value) % 2) + value + b"\0" * (len(value) % 2)
        for number, value in elements
    )
    return struct.pack("<HHLL", 0, 0, 4, len(encoded)) + encoded


def store_request(sop_instance_uid: str = "1.2.3.1", message_id: int = 1, sop_class_uid: str = MAMMOGRAPHY) -> bytes:
    return command(
        (0x0002, sop_class_uid.encode()),
        (0x0100, struct.pack("<H", 1)),
        (0x0110, struct.pack("<H", message_id)),
        (0x0700, struct.pack("<H", 0)),
        (0x0800, struct.pack("<H", 1)),
        (0x1000, sop_instance_uid.encode()),
    )


def one_store(context_id: int, data: bytes, sop_instance_uid: str = "1.2.3.1", message_id: int = 1) -> bytes:
    """A C-STORE in two PDUs."""
    request = pdv(context_id, COMMAND | LAST, store_request(sop_instance_uid, message_id))
    return pdu(4, request) + pdu(4, pdv(context_id, LAST, data))


class Wire:
    """A connection on which PDUs are sent and received."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(WAITS_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def to(cls, port: int) -> Wire:
        return cls(socket.create_connection(("127.0.0.1", port), timeout=WAITS_S))

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_all(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.send(piece)

    def exactly(self, size: int) -> bytes:
        """`size` bytes, or fewer where the connection is closed."""
        data = b""
        while len(data) < size and (more := self.socket.recv(size - len(data))):
            data += more
        return data

    def pdu(self) -> tuple[int | None, bytes]:
        """The next PDU's kind and body; None where the connection is closed instead."""
        try:
            head = self.exactly(6)
        except ConnectionResetError:
            return None, b""
        if len(head) < 6:
            return None, b""
        kind, size = struct.unpack(">BxL", head)
        return kind, self.exactly(size)

    def associate(self, **parts: object) -> int | None:
        """The kind of the PDU that an association request is answered with: 2 accepted, 3 rejected, 7 aborted; None
        where the connection is closed instead, which may be before the request has left."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send(association_request(**parts))  # type: ignore[arg-type]
        return self.pdu()[0]

    def status(self) -> int:
        """The status in the next answer."""
        kind, body = self.pdu()
        assert kind == 4, f"a PDU of kind {kind} in place of an answer"
        return status_in(body)


def status_in(body: bytes) -> int:
    at = body.index(struct.pack("<HHL", 0, 0x0900, 2)) + 8
    return int.from_bytes(body[at : at + 2], "little")


@dataclass(frozen=True)
class Cutting:
    """How messages are laid into presentation data values, these into PDUs, and those into writes."""

    of_commands: Sequence[int]
    of_data_sets: Sequence[int]
    values_in_a_pdu: Sequence[int]
    writes: Sequence[int]

    def values(self, messages: Iterable[tuple[bytes, bytes]], context_id: int) -> Iterator[bytes]:
        """The presentation data values of (command, data set)s, one after another."""
        of_commands, of_data_sets = itertools.cycle(self.of_commands), itertools.cycle(self.of_data_sets)
        for request, data in messages:
            for kind, whole, sizes in ((COMMAND, request, of_commands), (0, data, of_data_sets)):
                at = 0
                while at < len(whole):
                    size = next(sizes)
                    last = LAST if at + size >= len(whole) else 0
                    yield pdv(context_id, kind | last, whole[at : at + size])
                    at += size

    def pdus(self, messages: Iterable[tuple[bytes, bytes]], context_id: int) -> Iterator[bytes]:
        values, counts = self.values(messages, context_id), itertools.cycle(self.values_in_a_pdu)
        while together := b"".join(itertools.islice(values, next(counts))):
            yield pdu(4, together)

    def written(self, stream: bytes) -> Iterator[bytes]:
        """The stream in writes as large as drawn; what is left goes in one."""
        at = 0
        for size in self.writes:
            yield stream[at : at + size]
            at += size
        yield stream[at:]


@strategies.composite
def cuttings(draw: DrawFn) -> Cutting:
    """Every way to cut, small pieces and large ones."""
    return Cutting(
        draw(strategies.lists(strategies.integers(1, 200), min_size=1, max_size=3)),
        draw(strategies.lists(strategies.integers(500, 200_000), min_size=1, max_size=5)),
        draw(strategies.lists(strategies.integers(1, 4), min_size=1, max_size=4)),
        draw(strategies.lists(strategies.integers(1, 5000), max_size=20)),
    )


def association_acceptance(request: bytes) -> bytes:
    """An A-ASSOCIATE-AC of all that the body of a request proposes, each SOP class but the first by the other role."""
    contexts, classes, at = b"", [], 68
    while at < len(request):
        kind, size = struct.unpack_from(">BxH", request, at)
        inside = request[at + 4 : at + 4 + size]
        if kind == 0x20:
            (length,) = struct.unpack_from(">H", inside, 6)
            syntax_at = 8 + length
            classes.append(inside[8:syntax_at])
            (length,) = struct.unpack_from(">H", inside, syntax_at + 2)
            syntax = inside[syntax_at + 4 : syntax_at + 4 + length]
            contexts += item(0x21, inside[:1] + bytes(3) + item(0x40, syntax))
        at += 4 + size
    roles = b"".join(
        item(0x54, struct.pack(">H", len(uid)) + uid + b"\0\1") for uid in dict.fromkeys(classes) if uid != classes[0]
    )
    user = item(0x51, struct.pack(">L", 0)) + item(0x52, b"1.2.3") + roles
    return pdu(2, request[:68] + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + item(0x50, user))
