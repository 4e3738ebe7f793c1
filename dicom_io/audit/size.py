"""Audit messages that a receiver can take: it must take 32768 octets (PS3.15 section A.6), and what is longer may be
cut or lost.

Texts come from other systems, which may send any length. A text that is too long is replaced by its beginning, its
length and its SHA-256. A message about many objects becomes several.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

from dicom_io.audit.message import AuditedObject, AuditMessage, Participant

MOST_OCTETS = 32_768
"""Of a syslog message."""
MOST_SOP_CLASSES = 64
"""Of an object."""
_HEADER_AND_SOURCE = 4096
"""More octets than the syslog header, and the source of the message, have."""
_NAME, _TEXT, _QUERY = 512, 2048, 4096
_ONE_CHARACTER = {"&": 5, "<": 4, ">": 4, '"': 6}
_DETAIL, _SOP_CLASS = 128, 160
"""Octets of a detail or SOP class without its text, at most."""
_OBJECT, _PARTICIPANT, _EVENT = 512, 1024, 1024


def fitting(message: AuditMessage) -> list[AuditMessage]:
    """The message, with its texts shortened where they are too long; several where it is about too many objects."""
    short = clipped(message)
    pieces = [piece for one in short.objects for piece in _pieces(one)]
    fixed = _HEADER_AND_SOURCE + _EVENT + _octets(short.why) + sum(map(_of_participant, short.participants))
    groups: list[list[AuditedObject]] = [[]]
    room = MOST_OCTETS - fixed
    for piece in pieces:
        needed = _of_object(piece)
        if groups[-1] and needed > room:
            groups.append([])
            room = MOST_OCTETS - fixed
        groups[-1].append(piece)
        room -= needed
    return [replace(short, objects=tuple(group)) for group in groups]


def clipped(message: AuditMessage) -> AuditMessage:
    """The message with its texts shortened where they are too long."""
    return replace(
        message,
        why=_short(message.why, _TEXT),
        participants=tuple(map(_participant, message.participants)),
        objects=tuple(map(_object, message.objects)),
    )


def _participant(one: Participant) -> Participant:
    return replace(
        one,
        user=_short(one.user, _NAME),
        alternative=_short(one.alternative, _NAME),
        name=_short(one.name, _NAME),
        address=_short(one.address, _NAME),
    )


def _object(one: AuditedObject) -> AuditedObject:
    return replace(
        one,
        id=_short(one.id, _NAME),
        name=_short(one.name, _NAME),
        query=None if one.query is None else _short_query(one.query),
        details=tuple((kind, _short(text, _TEXT)) for kind, text in one.details),
        sop_classes=tuple((_short(uid, 64), count) for uid, count in one.sop_classes),
    )


def _pieces(one: AuditedObject) -> Iterator[AuditedObject]:
    """The object, several times where it has too many SOP classes."""
    for start in range(0, max(1, len(one.sop_classes)), MOST_SOP_CLASSES):
        yield replace(one, sop_classes=one.sop_classes[start : start + MOST_SOP_CLASSES])


def _short(text: str, most: int) -> str:
    if len(text) <= most and _octets(text) <= most:
        return text
    end = _end(len(text), text.encode("utf-8", "surrogatepass"))
    begin, room = text[:most], max(0, most - len(end))
    while _octets(begin) > room:
        begin = begin[: min(len(begin) - 1, len(begin) * 3 // 4)]
    return (begin + end)[:most]


def _short_query(query: str) -> str:
    if len(query) <= _QUERY * 2:
        return query
    plain = b64decode(query)
    return b64encode(plain[:_QUERY] + _end(len(plain), plain).encode()).decode()


def _end(length: int, encoded: bytes) -> str:
    return f"... ({length} in all, SHA-256 {sha256(encoded).hexdigest()})"


def _octets(text: str) -> int:
    """The octets of a text in ASCII XML, at most."""
    return sum(_ONE_CHARACTER.get(one, 1 if " " <= one <= "~" else 10) for one in text)


def _of_participant(one: Participant) -> int:
    return _PARTICIPANT + sum(map(_octets, (one.user, one.alternative, one.name, one.address)))


def _of_object(one: AuditedObject) -> int:
    details = sum(_DETAIL + 4 * len(text.encode("utf-8", "replace")) // 3 for _, text in one.details)
    query = len(one.query or "")
    return _OBJECT + _octets(one.id) + _octets(one.name) + query + details + _SOP_CLASS * len(one.sop_classes)
