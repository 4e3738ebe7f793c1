"""Settings of the audit trail: the syslog receiver that gets it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from config.fields import Port, Section
from config.tls import TlsPeer

_PORTS = {"tls": 6514, "udp": 514}
"""RFC 5425 section 4.1, RFC 5426 section 3.3."""


class Audit(Section):
    """Where the audit trail goes, besides the data folder."""

    syslog_host: str | None = None
    syslog_port: Port | None = None
    syslog_transport: Literal["tls", "udp"] = "tls"
    tls: TlsPeer | None = None
    timeout_s: float = Field(default=10, gt=0)

    @property
    def port(self) -> int:
        """The receiver's port: that of its transport, unless another is set."""
        return self.syslog_port or _PORTS[self.syslog_transport]

    @model_validator(mode="after")
    def _is_one_transport(self) -> Self:
        if self.syslog_transport == "udp" and self.tls is not None:
            raise ValueError('tls needs syslog_transport = "tls": UDP would show patients\' IDs to the network')
        return self
