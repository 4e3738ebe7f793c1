"""The settings of the node's web page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from config.fields import Port, Section, is_this_machine


class Role(StrEnum):
    """Who may do what on the page (docs/web.md): each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    def includes(self, role: Role) -> bool:
        """Whether it may do what `role` may."""
        return list(Role).index(self) >= list(Role).index(role)


UID_HERE = "{StudyInstanceUID}"


class Web(Section):
    """The page for those who run the node."""

    host: str = "127.0.0.1"
    port: Port | None = None
    url: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    shows_patients_to: tuple[Role, ...] = (Role.OPERATOR, Role.ADMINISTRATOR)
    viewer_url: str | None = None
    stow: bool = False
    session_hours: float = Field(default=12, gt=0)
    idle_minutes: float = Field(default=30, gt=0)

    @field_validator("url")
    @classmethod
    def _is_an_origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username:
            raise ValueError("must be scheme, host and port without a path, such as https://mammo.example")
        return f"{parts.scheme}://{parts.netloc.lower()}"

    @field_validator("viewer_url")
    @classmethod
    def _names_the_study(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or UID_HERE not in url):
            raise ValueError(f"must be an http or https address with {UID_HERE} in it")
        return url

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self

    @property
    def address(self) -> str | None:
        """Where browsers find the page; None: there is none."""
        if self.port is None:
            return None
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.url or f"{'https' if self.certificate else 'http'}://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether the address is one of this machine's own, which others cannot reach."""
        return is_this_machine(self.host)

    @property
    def is_encrypted(self) -> bool:
        """Whether browsers reach the page by https, from the node itself or by a proxy before it."""
        return self.certificate is not None or (self.url or "").startswith("https://")
