"""Who looks at a page, and what that person may see and do."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import HTTPException, Request

from config.web import Role
from node.audit.actors import Actor
from node.operations.accounts import AccountView


@dataclass(frozen=True)
class Visitor:
    """A person. `account`: the id, None where there is none; `sees_patients`: identifiers and pictures; `issuer`: the
    OpenID provider whose account it is, or ""; `address`: from where."""

    account: int | None
    name: str
    role: Role
    sees_patients: bool
    issuer: str = ""
    address: str = ""

    def may(self, role: Role) -> bool:
        """Whether the person has at least this role."""
        return self.role.includes(role)

    @property
    def actor(self) -> Actor:
        """As acts are noted."""
        return Actor(f"account {self.account}", self.name, self.address)


NOBODY = Visitor(None, "", Role.VIEWER, sees_patients=False)
"""Whoever is at this machine while there are no accounts, and whoever has not signed in."""


def visitor_with(account: AccountView, shows_patients_to: tuple[Role, ...], address: str) -> Visitor:
    """The person who has signed in with an account."""
    return Visitor(account.id, account.name, account.role, account.role in shows_patients_to, account.issuer, address)


def visitor_of(request: Request) -> Visitor:
    """The person behind a request, whom node/web/protection.py has let in."""
    visitor: Visitor = request.state.visitor
    return visitor


def require(request: Request, role: Role) -> Visitor:
    """The person behind a request, who must have a role.

    Raises:
        HTTPException: the person has not.
    """
    visitor = visitor_of(request)
    if visitor.account is None:
        raise HTTPException(403, "This changes something: sign in with an account for it.")
    if not visitor.may(role):
        raise HTTPException(403, f"This needs the role {role}; your account is a {visitor.role}. Nothing was done.")
    return visitor


def address_of(request: Request) -> str:
    """The address from which a request came; "" if it is not known."""
    return request.client.host if request.client else ""
