"""Who looks at a page, and what that person may see and do."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from config.web import Role

ROLES: tuple[Role, ...] = ("viewer", "operator", "administrator")
"""Each may do what those before it may."""


@dataclass(frozen=True)
class Visitor:
    """A person. `name`: of the account, "" where there is none; `sees_patients`: identifiers and pictures."""

    name: str
    role: Role
    sees_patients: bool

    def may(self, role: Role) -> bool:
        """Whether the person has at least this role."""
        return ROLES.index(self.role) >= ROLES.index(role)


NOBODY = Visitor("", "viewer", sees_patients=False)
"""Whoever is at this machine while there are no accounts."""


def visitor_of(request: Request) -> Visitor:
    """The person behind a request, whom node/web/protection.py has let in."""
    visitor: Visitor = request.state.visitor
    return visitor
