"""Tokens that only this installation can make: sessions, and proofs that a form is of a session (CSRF)."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadSignature, URLSafeSerializer

from dicom_io.durable import create_durably
from node.archive.layout import WEB_KEY

_KEY_BYTES = 32


@dataclass(frozen=True)
class SignedIn:
    """A session: whose it is, and since when. Times are UTC seconds since the epoch.

    Attributes:
        account: its id; the database gives that of a removed account to another one.
        created_at: when the account was made: tells it from others of its id.
        at: when it signed in.
    """

    account: int
    created_at: float
    at: float


class Tokens:
    """Signs with the key of this installation.

    Args:
        key: secret.
    """

    def __init__(self, key: bytes) -> None:
        self._csrf = URLSafeSerializer(key, salt="csrf")
        self._sessions = URLSafeSerializer(key, salt="session")
        self._seen = URLSafeSerializer(key, salt="seen")

    def session(self, signed_in: SignedIn) -> str:
        """The token of a session, for a cookie."""
        return str(self._sessions.dumps([signed_in.account, signed_in.created_at, signed_in.at]))

    def signed_in(self, session: str) -> SignedIn | None:
        """Who a session's token was given to; None: it is not ours."""
        try:
            account, created_at, at = self._sessions.loads(session)
        except (BadSignature, TypeError, ValueError):
            return None
        return SignedIn(account, created_at, at)

    def seen(self, session: str, at: float) -> str:
        """The token, for a cookie, that the person of a session did something then (UTC seconds since the epoch)."""
        return str(self._seen.dumps([session, at]))

    def last_seen(self, seen: str, session: str) -> float:
        """When the person of this session did something last; 0: nobody says."""
        try:
            of, at = self._seen.loads(seen)
        except (BadSignature, TypeError, ValueError):
            return 0.0
        return float(at) if of == session else 0.0

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
        path.unlink()
    return create_durably(path, secrets.token_bytes(_KEY_BYTES))
