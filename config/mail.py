"""The settings of mails about what needs a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.fields import Port, Section, is_this_machine, matching

Address = Annotated[str, matching(r"[!-?A-~]+@[!-?A-~]+", "an address such as node@hospital.example")]


class Mail(Section):
    """The mail server, and who gets mails."""

    host: str | None = None
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    sender: Address | None = None
    recipients: tuple[Address, ...] = ()
    wait_minutes: float = Field(default=15, gt=0)
    timeout_s: float = Field(default=30, gt=0)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.host is not None and (self.sender is None or not self.recipients):
            raise ValueError("host needs sender and recipients")
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file go together")
        if self.user is not None and self.security == "none" and not is_this_machine(self.host or ""):
            raise ValueError(
                'security = "none" would show the password to the network: leave user out, or use starttls'
            )
        return self
