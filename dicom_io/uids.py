"""Derives UIDs: the same parts give the same UID, so a retry writes the same object."""

from __future__ import annotations

from uuid import UUID, uuid5

_NAMESPACE = UUID("0b16a090-b8a8-47db-916a-49b2def844ce")
_SEPARATOR = "\0"


def derive_uid(*parts: str) -> str:
    """A UID derived from `parts`: 2.25 and a name-based UUID (PS3.5 section B.2; RFC 9562 section 5.5, version 5).

    Raises:
        ValueError: there are no parts, or a part holds NUL, which separates the parts.
    """
    if not parts or any(_SEPARATOR in part for part in parts):
        raise ValueError("A UID is derived from one or more parts without NUL characters")
    return uid_of(uuid5(_NAMESPACE, _SEPARATOR.join(parts)))


def uid_of(uuid: UUID) -> str:
    """A UUID as a UID (PS3.5 section B.2)."""
    return f"2.25.{uuid.int}"
