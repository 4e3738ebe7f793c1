"""Names for what leaves the archive: keyed, so that nobody without the node's key can tell a patient by trying IDs."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from dicom_io.durable import sync_folder
from models.datasets.case import DatasetError
from node.archive.layout import PSEUDONYM_KEY

KEY_BYTES = 32
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
    """With the key in the data folder, which is made at first use and which only its owner may read.

    Whoever loses it gets other names: splits that were written with the old ones then fit no more.

    Raises:
        DatasetError: the key is not one that this program made: with an empty one anybody could try all IDs.
    """
    path = data_dir / PSEUDONYM_KEY
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise DatasetError(
            f"{path} holds {len(key)} bytes, and a key has {KEY_BYTES}: it was cut short or replaced. Put it back from "
            "a backup. Where there is none, delete it: a new one is made, and old split files and exports fit no more."
        )
    return Pseudonyms(key)


def _make_key(path: Path) -> None:
    """Whole or not at all, and never over one that another process has made meanwhile."""
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        Path(part).unlink()
    sync_folder(path.parent)
