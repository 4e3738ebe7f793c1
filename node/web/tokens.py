"""Tokens that only this installation can make: against requests that another site makes a browser send (CSRF)."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from itsdangerous import BadSignature, URLSafeSerializer

from dicom_io.durable import write_durably
from node.archive.layout import WEB_KEY

_CSRF = "csrf"
_KEY_BYTES = 32


class Tokens:
    """Signs with the key of this installation.

    Args:
        key: secret.
    """

    def __init__(self, key: bytes) -> None:
        self._csrf = URLSafeSerializer(key, salt=_CSRF)

    def csrf(self, session: str) -> str:
        """The token of the forms that a session is shown ("" where there is no session)."""
        return str(self._csrf.dumps(session))

    def is_csrf(self, token: str, session: str) -> bool:
        """Whether the token was given to this session."""
        try:
            return bool(self._csrf.loads(token) == session)
        except BadSignature:
            return False


def key_of(data_dir: Path) -> bytes:
    """The installation's key, made when it is first asked for; only the node's user can read it. A damaged one is
    replaced: everybody signs in again."""
    path = data_dir / WEB_KEY
    with suppress(FileNotFoundError):
        key = path.read_bytes()
        if len(key) == _KEY_BYTES:
            return key
    write_durably(path, secrets.token_bytes(_KEY_BYTES))  # the process's umask keeps it from others
    return path.read_bytes()
