"""UIDs that are worked out and not drawn: the same parts give the same UID, so a second try writes the same object."""

from __future__ import annotations

import hashlib

_SEPARATOR = "\0"


def derive_uid(*parts: str) -> str:
    """A UID for what `parts` name: 2.25 and a 128-bit number (PS3.5 section B.2) from their SHA-256.

    Raises:
        ValueError: no parts, or a part holds the NUL that keeps parts from running into one another.
    """
    if not parts or any(_SEPARATOR in part for part in parts):
        raise ValueError("A UID is derived from one or more parts without NUL characters")
    digest = hashlib.sha256(_SEPARATOR.join(parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"
