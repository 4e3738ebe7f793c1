"""The accounts of people who use the page: names, roles and passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from config.web import Role
from models.errors import UserError
from node.audit.actors import Actor, command_line
from node.operations.acts import Act, Deed, note
from node.store.tables import Account

LEAST_LETTERS = 12
MOST_LETTERS = 256
_LEAST_SCORE = 3
"""Of zxcvbn's 0 to 4: 10^8 guesses and more, by lists of common passwords, words and names, by rows of keys,
repetitions and dates (what NIST SP 800-63B section 5.1.1.2 has passwords compared with)."""
_LOOKED_AT = 72
"""Letters, since zxcvbn's time grows with them."""
_OF_THIS_PLACE = (
    "mammo-node",
    "mammo",
    "mammography",
    "mammographie",
    "hospital",
    "radiology",
    "radiologie",
    "pacs",
    "dicom",
)
_NAME = re.compile(r"[\w.@-]{1,64}")
_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$vooOzImrM+IHoUZTB5jgjw$NmoLAfBS0RKyJfn740/ImkKT49Y8Vx3cVbx+fon3//k"
"""Is verified where there is no such account, so that the time of an answer does not tell which names there are."""


class AccountRefused(UserError):
    """The message says why an account cannot be made or changed."""


@dataclass(frozen=True)
class AccountView:
    """An account. `issuer`: the OpenID provider whose account it is, "" for one with a password. Times are UTC seconds
    since the epoch."""

    id: int
    name: str
    role: Role
    created_at: float
    signed_out_at: float
    issuer: str = ""


def any_accounts(session: Session) -> bool:
    """Whether there is an account."""
    return bool(session.scalar(select(exists().select_from(Account))))


def accounts(session: Session) -> tuple[AccountView, ...]:
    """All accounts, by name."""
    return tuple(_view(row) for row in session.scalars(select(Account).order_by(Account.name)))


def account(session: Session, number: int) -> AccountView | None:
    """The account with this id; None: it was removed."""
    row = session.get(Account, number)
    return None if row is None else _view(row)


def add(session: Session, name: str, role: Role, password: str, now: float) -> None:
    """Makes an account.

    Raises:
        AccountRefused: the name is taken or none, or the password is too short or easy to guess.
    """
    if not _NAME.fullmatch(name):
        raise AccountRefused(f"{name!r}: a name has letters, digits and . _ - @, 64 at most, and no spaces.")
    if _row(session, name) is not None:
        raise AccountRefused(f"There is an account {name} already: `mammo-node users password {name}` changes it.")
    row = Account(name=name, role=role, password_hash=_hashed(password, name), created_at=now, signed_out_at=0.0)
    session.add(row)
    session.flush()
    note(session, Act(Deed.ACCOUNT_MADE, command_line(), about=f"{role} account {row.id}", subject=name), now)


def from_provider(
    session: Session, issuer: str, subject: str, name: str, role: Role, address: str, now: float
) -> AccountView:
    """The account of somebody whom an OpenID provider knows: made when they first sign in, and given the role that the
    provider states now. Two people of one name have different names here. `address`: the browser's."""
    row = _at(session, issuer, subject)
    if row is None:
        free = (taken for taken in _names(name, issuer, subject) if _row(session, taken) is None)
        row = Account(name=next(free), role=role, password_hash="", issuer=issuer, subject=subject, created_at=now)
        session.add(row)
        session.flush()
        about = f"{role} account of the provider"
        note(session, Act(Deed.ACCOUNT_MADE, _themselves(row, address), about=about, subject=row.name), now)
    elif row.role != role:
        row.role = role
        about = f"{role}, as the provider states"
        note(session, Act(Deed.ROLE_CHANGED, _themselves(row, address), about=about, subject=row.name), now)
    return _view(row)


def without_role(session: Session, issuer: str, subject: str, address: str, now: float) -> None:
    """Ends all sessions of somebody to whom an OpenID provider gives no role any more, if they have an account."""
    row = _at(session, issuer, subject)
    if row is not None:
        row.signed_out_at = now
        about = "the provider gives no role any more"
        note(session, Act(Deed.SIGNED_OUT, _themselves(row, address), about=about), now)


def _names(name: str, issuer: str, subject: str) -> Iterator[str]:
    """Names for an account, the best first; the last ones are free."""
    plain = re.sub(r"[^\w.@-]", "-", name)[:64] or "somebody"
    yield plain
    yield f"{plain[:40]}@{urlsplit(issuer).hostname}"[:64]
    yield from (f"{plain[:50]}-{number}" for number in count(2))


def remove(session: Session, name: str, now: float) -> None:
    """Removes an account; its sessions end at once.

    Raises:
        AccountRefused: there is none.
    """
    row = _known(session, name)
    session.delete(row)
    note(session, Act(Deed.ACCOUNT_REMOVED, command_line(), about=f"account {row.id}", subject=name), now)


def set_password(session: Session, name: str, password: str, now: float) -> None:
    """Changes a password; the account's sessions end at once.

    Raises:
        AccountRefused: there is no such account, or the password is too short or easy to guess.
    """
    row = _known(session, name)
    if row.issuer:
        raise AccountRefused(f"{name} signs in at {row.issuer}, and has no password here.")
    row.password_hash = _hashed(password, name)
    row.signed_out_at = now
    note(session, Act(Deed.PASSWORD_CHANGED, command_line(), about=f"account {row.id}", subject=name), now)


def sign_out(session: Session, number: int, now: float) -> None:
    """Ends all sessions of an account."""
    row = session.get(Account, number)
    if row is not None:
        row.signed_out_at = now


def with_password(session: Session, name: str, password: str) -> AccountView | None:
    """The account with this name and password; None: there is none. Takes as long in either case."""
    row = _row(session, name)
    try:
        known = _NOBODYS if row is None or row.issuer else row.password_hash
        PasswordHasher().verify(known, password[:MOST_LETTERS])
    except (VerificationError, InvalidHashError):
        return None
    return None if row is None or row.issuer else _view(row)


def _themselves(row: Account, address: str) -> Actor:
    return Actor(f"account {row.id}", row.name, address)


def _hashed(password: str, name: str) -> str:
    if not LEAST_LETTERS <= len(password) <= MOST_LETTERS:
        raise AccountRefused(f"A password has {LEAST_LETTERS} letters at least, and {MOST_LETTERS} at most.")
    if why := easy_to_guess(password, name):
        raise AccountRefused(f"This password is easy to guess. {why} Take several words that have nothing in common.")
    return PasswordHasher().hash(password)


def easy_to_guess(password: str, name: str) -> str:
    """Why the password of this name is easy to guess; "" if it is not."""
    from zxcvbn import zxcvbn  # its lists of words take a tenth of a second

    found = zxcvbn(password[:_LOOKED_AT], user_inputs=[name, *_OF_THIS_PLACE])
    if found["score"] >= _LEAST_SCORE:
        return ""
    return found["feedback"]["warning"] or "It is of common words, names, dates or rows of keys."


def _row(session: Session, name: str) -> Account | None:
    return session.scalars(select(Account).where(Account.name == name)).one_or_none()


def _at(session: Session, issuer: str, subject: str) -> Account | None:
    """The account of somebody whom an OpenID provider knows."""
    return session.scalars(select(Account).where(Account.issuer == issuer, Account.subject == subject)).one_or_none()


def _known(session: Session, name: str) -> Account:
    row = _row(session, name)
    if row is None:
        raise AccountRefused(f"There is no account {name}: `mammo-node users list` shows them.")
    return row


def _view(row: Account) -> AccountView:
    return AccountView(row.id, row.name, Role(row.role), row.created_at, row.signed_out_at, row.issuer)
