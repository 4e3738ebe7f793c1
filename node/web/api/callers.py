"""Who calls the interface: the owner of the bearer token (RFC 6750). There are no cookies, and so no forged forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from config.web import Role
from node.audit.actors import Actor
from node.operations.api_tokens import owner_of
from node.store.database import read_only
from node.web.desk import desk_of
from node.web.visitors import address_of

_BEARER = HTTPBearer(auto_error=False, description="A token that `mammo-node tokens add` made.")


@dataclass(frozen=True)
class Caller:
    """The owner of a token. `sees_patients`: identifiers, and results, which have them; `address`: from where."""

    token: int
    name: str
    role: Role
    sees_patients: bool
    address: str

    @property
    def actor(self) -> Actor:
        """As acts are noted."""
        return Actor(f"token {self.token}", self.name, self.address)


def with_role(role: Role) -> Callable[..., Caller]:
    """A dependency: the caller, who has at least this role.

    Raises (the dependency):
        HTTPException: there is no token, or it is not known, or its role is not enough.
    """

    def caller(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> Caller:
        desk = desk_of(request)
        owner = None
        if given is not None:
            with read_only(desk.sessions) as session:
                owner = owner_of(session, given.credentials)
        if owner is None:
            if given is not None:
                desk.refusals.note(address_of(request), "token", "a program was refused: its token is not known")
            detail = "Send a token that `mammo-node tokens add` made, as Authorization: Bearer TOKEN."
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
        if not owner.role.includes(role):
            raise HTTPException(403, f"This needs the role {role}; the token is a {owner.role}'s. Nothing was done.")
        sees_patients = owner.role in desk.settings.web.shows_patients_to
        return Caller(owner.id, owner.name, owner.role, sees_patients, address_of(request))

    return caller


Viewer = Annotated[Caller, Depends(with_role(Role.VIEWER))]
Operator = Annotated[Caller, Depends(with_role(Role.OPERATOR))]


def require_patients(caller: Caller) -> None:
    """Refuses whoever may not see patients.

    Raises:
        HTTPException: the caller may not.
    """
    if not caller.sees_patients:
        raise HTTPException(
            403, f"This leads to patients, which web.shows_patients_to does not show to a {caller.role}."
        )
