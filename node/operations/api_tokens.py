"""The tokens of programs that use the interface: names, roles, and what each token is recognised by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.web import Role
from models.errors import UserError
from node.audit.actors import command_line
from node.operations.acts import Act, Deed, note
from node.store.tables import ApiToken

PREFIX = "mammo_"
"""By which people, and programs that look for leaked secrets, recognise a token."""
MOST_LETTERS = 128
_NAME = re.compile(r"[\w.@-]{1,64}")


class TokenRefused(UserError):
    """The message says why a token cannot be made or removed."""


@dataclass(frozen=True)
class TokenView:
    """A token. `created_at`: UTC seconds since the epoch."""

    id: int
    name: str
    role: Role
    created_at: float


def add(session: Session, name: str, role: Role, secret: str, now: float) -> str:
    """Makes a token and returns it; only its digest is stored, so that it cannot be shown again.

    Args:
        secret: at least 32 random bytes as text: nobody can try so many, so that the digest needs no salt and no delay.

    Raises:
        TokenRefused: the name is taken, or none.
    """
    if not _NAME.fullmatch(name):
        raise TokenRefused(f"{name!r}: a name has letters, digits and . _ - @, 64 at most, and no spaces.")
    if _row(session, name) is not None:
        raise TokenRefused(f"There is a token {name} already: remove it first (`mammo-node tokens remove {name}`).")
    token = PREFIX + secret
    row = ApiToken(name=name, role=role, digest=_digest(token), created_at=now)
    session.add(row)
    session.flush()
    note(session, Act(Deed.TOKEN_MADE, command_line(), about=f"{role} token {row.id}", subject=name), now)
    return token


def tokens(session: Session) -> tuple[TokenView, ...]:
    """All tokens, by name."""
    return tuple(_view(row) for row in session.scalars(select(ApiToken).order_by(ApiToken.name)))


def remove(session: Session, name: str, now: float) -> None:
    """Removes a token: from now on it lets nobody in.

    Raises:
        TokenRefused: there is none.
    """
    row = _row(session, name)
    if row is None:
        raise TokenRefused(f"There is no token {name}: `mammo-node tokens list` shows them.")
    session.delete(row)
    note(session, Act(Deed.TOKEN_REMOVED, command_line(), about=f"token {row.id}", subject=name), now)


def owner_of(session: Session, token: str) -> TokenView | None:
    """Whose token it is; None: nobody's."""
    if len(token) > MOST_LETTERS:
        return None
    row = session.scalars(select(ApiToken).where(ApiToken.digest == _digest(token))).one_or_none()
    return None if row is None else _view(row)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _row(session: Session, name: str) -> ApiToken | None:
    return session.scalars(select(ApiToken).where(ApiToken.name == name)).one_or_none()


def _view(row: ApiToken) -> TokenView:
    return TokenView(row.id, row.name, Role(row.role), row.created_at)
