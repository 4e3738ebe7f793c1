"""Checks and normalises an A-ASSOCIATE-RQ (PS3.8 section 9.3.2) before pynetdicom parses it.

Real applications pad AE titles with NUL, send version names of 40 characters, and add items of their own. `tidy` turns
such a request into one that the Standard allows, which pynetdicom's strict parser accepts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

FIXED = 74
"""Bytes before the first item: PDU header, protocol version, both AE titles (table 9-11)."""
LARGEST = 1 << 20  # 128 contexts with 40 transfer syntaxes each take 0.2 MB
_KIND = 0x01
_APPLICATION, _CONTEXT, _ABSTRACT, _SYNTAX, _USER = 0x10, 0x20, 0x30, 0x40, 0x50
_LENGTH, _CLASS, _ROLE, _VERSION, _IDENTITY = 0x51, 0x52, 0x54, 0x55, 0x58
_ANSWERED = struct.pack(">BBHH", 5, 1, 0, 0)
"""A user identity without a user, of a type that pynetdicom answers: JSON Web Token, positive response requested."""
_UID = re.compile(rb"[0-9.]{1,64}")
_NO_UID = b"0.0"
"""Replaces a malformed UID: nobody supports it, so its context is answered as not supported."""
_MOST_CONTEXTS = 128
_SMALLEST_PDU = 32


class NotARequest(Exception):
    """This is no valid association request. The message says why, and quotes nothing of the request."""


@dataclass(frozen=True)
class Names:
    """The called and the calling AE title, without padding."""

    called: str
    calling: str


class IdentityType(IntEnum):
    """User-Identity-Type (PS3.7 table D.3-14): those that the node understands."""

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    JSON_WEB_TOKEN = 5


@dataclass(frozen=True)
class UserIdentity:
    """What a User Identity Sub-Item states (PS3.7 section D.3.3.7).

    Attributes:
        primary: the user's name, or the token.
        secondary: the passcode; empty for the other types.
        wants_answer: a positive response is requested.
    """

    kind: IdentityType
    primary: bytes = field(repr=False)
    secondary: bytes = field(repr=False)
    wants_answer: bool


def length_of(head: bytes) -> int:
    """The length of the whole PDU in bytes, from its first six bytes.

    Raises:
        NotARequest: it is another PDU, no PDU, or too large.
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


def tidy(request: bytes, answers_identity: bool = False) -> bytes:
    """The same request with only the items that the node uses, encoded as the Standard requires. The user identity
    stays behind; `answers_identity`: pynetdicom shall answer that the user was accepted.

    Raises:
        NotARequest: an item is longer than its container, two presentation contexts have the same ID or one has an
            even ID, or there are none or more than 128 of them.
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
                raise NotARequest("two presentation contexts with the same ID")
            contexts[number] = context
        elif kind == _USER:
            user = value
    if not contexts or len(contexts) > _MOST_CONTEXTS:
        raise NotARequest(f"{len(contexts)} presentation contexts")
    body += application + b"".join(contexts.values()) + _item(_USER, _user(user, answers_identity))
    return struct.pack(">BxL", _KIND, len(body)) + body


def identity_in(request: bytes) -> UserIdentity | None:
    """The user identity of a whole request; None: it states none, or one of another type.

    Raises:
        NotARequest: an item is longer than its container.
    """
    for kind, value in _items(request[FIXED:]):
        if kind == _USER:
            for inner, inside in _items(value):
                if inner == _IDENTITY:
                    return _identity(inside)
    return None


def _identity(value: bytes) -> UserIdentity | None:
    if len(value) < 4 or value[0] not in [*IdentityType]:
        return None
    kind, length = IdentityType(value[0]), int.from_bytes(value[2:4])
    primary, rest = value[4 : 4 + length], value[4 + length :]
    passcode = rest[2 : 2 + int.from_bytes(rest[:2])]
    return UserIdentity(
        kind, primary, passcode if kind is IdentityType.USERNAME_AND_PASSCODE else b"", wants_answer=value[1] == 1
    )


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
            raise NotARequest("an item longer than its container")
        yield kind, data[at - size : at]


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _uid(value: bytes) -> bytes:
    stripped = value.strip(b"\0 ")
    return stripped if _UID.fullmatch(stripped) else _NO_UID


def _context(value: bytes) -> tuple[int, bytes]:
    # Presentation Context IDs shall be odd (PS3.8 sections 7.1.1.13 and 9.3.2.2), in the answer too, so an even one
    # cannot be refused by an answer. Such a request is an invalid PDU: the state machine aborts (section 9.2.3, Evt19
    # in Sta2).
    if len(value) < 4 or not value[0] % 2:
        raise NotARequest("a presentation context without an odd ID (PS3.8 section 9.3.2.2)")
    abstract, syntaxes = _NO_UID, []
    for kind, inside in _items(value[4:]):
        if kind == _ABSTRACT:
            abstract = _uid(inside)
        elif kind == _SYNTAX:
            syntaxes.append(_uid(inside))
    inside = _item(_ABSTRACT, abstract) + b"".join(_item(_SYNTAX, syntax) for syntax in syntaxes or [_NO_UID])
    return value[0], _item(_CONTEXT, struct.pack(">Bxxx", value[0]) + inside)


def _user(value: bytes, answers_identity: bool) -> bytes:
    """The user information that the node uses (PS3.7 Annex D.3.3): Maximum Length, Implementation Class UID and version
    name, and roles. Other proposals, such as a larger window, are not answered, which refuses them; for a user
    identity see `identity_in`."""
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
        raise NotARequest("a Maximum Length too small for any answer")
    named = _item(_VERSION, version) if version else b""
    answered = _item(_IDENTITY, _ANSWERED) if answers_identity else b""
    return _item(_LENGTH, length) + _item(_CLASS, maker) + roles + named + answered


def _role(value: bytes) -> bytes:
    size = int.from_bytes(value[:2])
    if len(value) != 4 + size:
        return b""
    uid = _uid(value[2:-2])
    return _item(_ROLE, struct.pack(">H", len(uid)) + uid + bytes(int(bool(role)) for role in value[-2:]))
