"""Signing in to the page with the accounts of an OpenID provider."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from config.fields import Section, is_this_machine
from config.web import Role


class Oidc(Section):
    """The provider, what the node is to it, and which of its claims give which role."""

    issuer: str | None = None
    client_id: str = "mammo-node"
    client_secret_file: Path | None = None
    ca_file: Path | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = "preferred_username"
    roles_claim: str = "roles"
    viewers: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()

    @field_validator("issuer")
    @classmethod
    def _is_encrypted(cls, issuer: str | None) -> str | None:
        if issuer is None:
            return None
        parts = urlsplit(issuer)
        is_near = parts.scheme == "http" and is_this_machine(parts.hostname or "")
        if not parts.hostname or not (parts.scheme == "https" or is_near) or parts.query or parts.fragment:
            raise ValueError("must be an https address without a query, as the provider states it")
        return issuer

    @field_validator("scopes")
    @classmethod
    def _asks_for_an_identity(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("must have openid among them")
        return scopes

    @model_validator(mode="after")
    def _somebody_may_sign_in(self) -> Self:
        if self.issuer is not None and not (self.viewers or self.operators or self.administrators):
            raise ValueError("viewers, operators or administrators must name a value of roles_claim")
        return self

    @property
    def roles(self) -> dict[Role, tuple[str, ...]]:
        """The values of the claim that give each role."""
        return {Role.VIEWER: self.viewers, Role.OPERATOR: self.operators, Role.ADMINISTRATOR: self.administrators}
