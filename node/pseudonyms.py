"""Names for what leaves the archive: keyed, so that nobody without the node's key can tell a patient by trying IDs."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY_FILE = "pseudonyms.key"
_KEY_BYTES = 32
_LENGTH = 20


class Pseudonyms:
    """The same name for the same thing, as long as the key is the same."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, what: str, *parts: str) -> str:
        """A name of 20 hexadecimal digits.

        Args:
            what: "patient", "exam", "image" or "annotator": one string gives another name for each.
            parts: what is named, an ID or UIDs.
        """
        return hmac.new(self._key, "\0".join((what, *parts)).encode(), hashlib.sha256).hexdigest()[:_LENGTH]


def open_pseudonyms(data_dir: Path) -> Pseudonyms:
    """With the key in the data folder, which is made at first use, for its owner's eyes only.

    Whoever loses it gets other names: splits that were written with the old ones then fit no more.
    """
    path = data_dir / KEY_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return Pseudonyms(path.read_bytes())
    with os.fdopen(descriptor, "wb") as file:
        file.write(key := secrets.token_bytes(_KEY_BYTES))
        os.fsync(file.fileno())
    return Pseudonyms(key)
