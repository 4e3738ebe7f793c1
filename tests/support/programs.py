"""Programs that use the interface."""

from __future__ import annotations

from road import Road

from config.web import Role
from node.operations.api_tokens import add, owner_of


def token_of(road: Road, role: Role) -> str:
    """The token of a program with this role, made where there is none yet."""
    secret = f"secret-of-the-{role}"
    with road.sessions.begin() as session:
        if owner_of(session, f"mammo_{secret}") is None:
            add(session, f"the-{role}", role, secret, road.clock())
    return f"mammo_{secret}"
