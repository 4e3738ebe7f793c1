"""Settings of DICOM TLS: of a peer that the node connects to, and of the node's own listener."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from config.fields import Port, Section

SecureTransport = Literal["B.12", "B.13"]
"""PS3.15 Annex B: BCP 195 RFC 8996, 9325, or the same with the algorithms of the modified profile."""


class Tls(Section):
    """Certificates and profile of one side of TLS; files are PEM."""

    profile: SecureTransport = "B.12"
    certificate: Path | None = None
    key: Path | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class TlsPeer(Tls):
    """How the node connects to a peer.

    `ca_file` is the authority of the peer's certificate (None: those of this machine), which must be for `server_name`
    (None: the peer's host); `certificate` is the node's own, for a peer that asks for one.
    """

    server_name: str | None = None


class TlsServer(Tls):
    """How the node is a server: its own certificate, and whether clients must show one of `ca_file`."""

    certificate: Path
    key: Path
    client_certificates: bool = True

    @model_validator(mode="after")
    def _knows_an_authority(self) -> Self:
        if self.client_certificates and self.ca_file is None:
            raise ValueError("needs ca_file, the authority of senders' certificates, or client_certificates = false")
        return self


class TlsListener(TlsServer):
    """A second port of the DICOM listener, for TLS alone."""

    host: str = "127.0.0.1"
    port: Port = 2762
