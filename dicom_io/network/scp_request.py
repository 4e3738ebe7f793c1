"""An A-ASSOCIATE-RQ (PS3.8 section 9.3.2), looked at byte by byte before anything is built of it.

Real applications pad AE titles with NUL, name versions of 40 characters and add items of their own. `tidy` makes of
such a request one that the Standard allows, so that the parser behind it need not be forgiving.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

FIXED = 74
"""Bytes up to the first item: head, protocol version, both AE titles (table 9-11)."""
LARGEST = 1 << 20  # 128 contexts with 40 transfer syntaxes each take 0.2 MB
_KIND = 0x01
_APPLICATION, _CONTEXT, _ABSTRACT, _SYNTAX, _USER = 0x10, 0x20, 0x30, 0x40, 0x50
_LENGTH, _CLASS, _ROLE, _VERSION = 0x51, 0x52, 0x54, 0x55
_UID = re.compile(rb"[0-9.]{1,64}")
_NO_UID = b"0.0"
"""In place of what is none: nobody supports it, and so its context is answered as any that is not supported."""
_MOST_CONTEXTS = 128
_SMALLEST_PDU = 32


class NotARequest(Exception):
    """No association can be made of this; the words say why and quote nothing of it."""


@dataclass(frozen=True)
class Names:
    """Who calls whom: AE titles without padding, as text."""

    called: str
    calling: str


def length_of(head: bytes) -> int:
    """How many bytes the whole PDU has, by its first six.

    Raises:
        NotARequest: it is another PDU, or none, or too large.
    """
    kind, size = struct.unpack(">BxL", head)
    if kind != _KIND:
        raise NotARequest("no association request")
    if not FIXED <= 6 + size <= LARGEST:
        raise NotARequest(f"an association request of {size} bytes")
    return 6 + int(size)


def names_in(fixed: bytes) -> Names:
    """The AE titles in the first FIXED bytes."""
    return Names(_title(fixed[10:26]), _title(fixed[26:42]))


def tidy(request: bytes) -> bytes:
    """The same request with what the node uses of it, in the form that the Standard gives it.

    Raises:
        NotARequest: an item is longer than what holds it, or a presentation context has no number of its own.
    """
    names = names_in(request)
    body = struct.pack(">HH", 1, 0) + _padded(names.called) + _padded(names.calling) + bytes(32)
    application, user, contexts = b"", b"", {}
    for kind, value in _items(request[FIXED:]):
        if kind == _APPLICATION:
            application = _item(_APPLICATION, _uid(value))
        elif kind == _CONTEXT:
            number, context = _context(value)
            if number in contexts:
                raise NotARequest("two presentation contexts of one number")
            contexts[number] = context
        elif kind == _USER:
            user = value
    if not contexts or len(contexts) > _MOST_CONTEXTS:
        raise NotARequest(f"{len(contexts)} presentation contexts")
    body += application + b"".join(contexts.values()) + _item(_USER, _user(user))
    return struct.pack(">BxL", _KIND, len(body)) + body


def _title(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")


def _padded(title: str) -> bytes:
    return title.encode("latin-1").ljust(16)


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise NotARequest("an item without a length")
        kind, size = struct.unpack_from(">BxH", data, at)
        at += 4 + size
        if at > len(data):
            raise NotARequest("an item longer than what holds it")
        yield kind, data[at - size : at]


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _uid(value: bytes) -> bytes:
    stripped = value.strip(b"\0 ")
    return stripped if _UID.fullmatch(stripped) else _NO_UID


def _context(value: bytes) -> tuple[int, bytes]:
    # Numbers shall be odd (PS3.8 sections 7.1.1.13 and 9.3.2.2), in the answer too, so that none can refuse it.
    # A request that has one is an invalid PDU, which the state machine aborts (section 9.2.3, Evt19 in Sta2).
    if len(value) < 4 or not value[0] % 2:
        raise NotARequest("a presentation context without an odd number (PS3.8 section 9.3.2.2)")
    abstract, syntaxes = _NO_UID, []
    for kind, inside in _items(value[4:]):
        if kind == _ABSTRACT:
            abstract = _uid(inside)
        elif kind == _SYNTAX:
            syntaxes.append(_uid(inside))
    inside = _item(_ABSTRACT, abstract) + b"".join(_item(_SYNTAX, syntax) for syntax in syntaxes or [_NO_UID])
    return value[0], _item(_CONTEXT, struct.pack(">Bxxx", value[0]) + inside)


def _user(value: bytes) -> bytes:
    """What the node uses of the user information (PS3.7 Annex D.3.3): the largest PDU, who made the other application,
    and roles. Its window is 1, and it knows no users: what else may be proposed is not answered, which means no."""
    length, maker, version, roles = struct.pack(">L", 0), _NO_UID, b"", b""
    for kind, inside in _items(value):
        if kind == _LENGTH and len(inside) == 4:
            length = inside
        elif kind == _CLASS:
            maker = _uid(inside)
        elif kind == _VERSION:
            version = bytes(byte for byte in inside if 0x20 <= byte < 0x7F and byte != ord("\\")).strip()[:16]
        elif kind == _ROLE:
            roles += _role(inside)
    if 0 < int.from_bytes(length) < _SMALLEST_PDU:
        raise NotARequest("a peer that takes no PDU in which an answer could begin")
    named = _item(_VERSION, version) if version else b""
    return _item(_LENGTH, length) + _item(_CLASS, maker) + roles + named


def _role(value: bytes) -> bytes:
    size = int.from_bytes(value[:2])
    if len(value) != 4 + size:
        return b""
    uid = _uid(value[2:-2])
    return _item(_ROLE, struct.pack(">H", len(uid)) + uid + bytes(int(bool(one)) for one in value[-2:]))
