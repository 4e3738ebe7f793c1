"""Pseudonyms for exports: keyed hashes (HMAC), so that nobody without the key can find a patient by trying IDs."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from uuid import UUID

from dicom_io.durable import create_durably
from dicom_io.uids import uid_of
from models.datasets.case import DatasetError
from node.archive.layout import PSEUDONYM_KEY

KEY_BYTES = 32
_LENGTH = 20


class Pseudonyms:
    """Makes pseudonyms: equal input and key give an equal pseudonym."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, what: str, *parts: str) -> str:
        """A pseudonym of 20 hexadecimal digits.

        Args:
            what: "patient", "exam", "image" or "annotator": each gives another pseudonym for the same parts.
            parts: the ID or UIDs to replace.
        """
        return hmac.new(self._key, "\0".join((what, *parts)).encode(), hashlib.sha256).hexdigest()[:_LENGTH]

    def uid(self, uid: str) -> str:
        """The UID that replaces one (PS3.5 section B.2)."""
        digest = hmac.new(self._key, "\0".join(("uid", uid)).encode(), hashlib.sha256).digest()
        return uid_of(UUID(bytes=digest[:16], version=5))


def open_pseudonyms(data_dir: Path) -> Pseudonyms:
    """Opens the pseudonyms with the key in the data folder. The first call makes the key; only its owner may read it.

    With a new key all pseudonyms change, and split files with the old ones cannot be used.

    Raises:
        DatasetError: the key has not KEY_BYTES bytes. With an empty key anybody could try all IDs.
    """
    path = data_dir / PSEUDONYM_KEY
    if not path.exists():
        create_durably(path, secrets.token_bytes(KEY_BYTES))  # never replaces one that another process made
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise DatasetError(
            f"{path} has {len(key)} bytes instead of {KEY_BYTES}: it is truncated or was replaced. Restore it from a "
            "backup. If there is none, delete it: a new key is made, and old split files and exports no longer match."
        )
    return Pseudonyms(key)
