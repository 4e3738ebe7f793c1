"""TLS by PS3.15 Annex B.12 (BCP 195 RFC 8996, 9325) and B.13 (the modified profile).

Both have TLS 1.2 and 1.3; OpenSSL's cipher suites of 1.3 are those of both profiles.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_io.errors import CertificatesUnusable

log = logging.getLogger(__name__)

_B12 = (
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
)  # fmt: skip
_HOSTS = ("DNS", "IP Address")
"""The kinds of subject alternative names that name a machine."""
CIPHER_SUITES = {
    "B.12": _B12,
    "B.13": (*_B12[2:], "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", *_B12[:2]),
}
"""Of TLS 1.2, in order of preference, by profile: those that RFC 9325 section 4.2 recommends; B.13 begins with keys of
256 bits. Names as OpenSSL has them."""


@dataclass(frozen=True)
class TlsFiles:
    """The files of one side of TLS, and its profile.

    Attributes:
        certificate, key: its own, with intermediate certificates behind the first; None: it shows none.
        ca_file: the authorities whose certificates the other side may show; None: those of this machine.
        profile: "B.12" or "B.13".
        server_name: of a client: the name that the server's certificate must have; None: the host that it connects to.
    """

    certificate: Path | None
    key: Path | None
    ca_file: Path | None
    profile: str = "B.12"
    server_name: str | None = None

    def client(self) -> ssl.SSLContext:
        """For connections to a server, whose certificate and name are verified.

        Raises:
            CertificatesUnusable: a file is missing, is no certificate or key, or they do not fit each other.
        """
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def connected(self, host: str, port: int, timeout_s: float) -> ssl.SSLSocket:
        """A connection to a server, whose certificate and name are verified; for protocols that are not DICOM.

        Raises:
            CertificatesUnusable: as for `client`.
            OSError: nobody answers, or TLS fails (ssl.SSLError).
        """
        connection = socket.create_connection((host, port), timeout_s)
        try:
            return self.client().wrap_socket(connection, server_hostname=self.server_name or host)
        except BaseException:
            connection.close()
            raise

    def server(self, *, asks: bool) -> ssl.SSLContext:
        """For connections of clients, which must show a certificate if the server `asks`.

        Raises:
            CertificatesUnusable: as for `client`.
        """
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
        return context

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(":".join(CIPHER_SUITES[self.profile]))
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        if self.ca_file is not None:
            with _naming(self.ca_file):
                context.load_verify_locations(self.ca_file)
        elif protocol == ssl.PROTOCOL_TLS_CLIENT:
            context.load_default_certs()
        if self.certificate is not None:
            with _naming(self.certificate, self.key):
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
        return context

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.certificate, self.key, self.ca_file) if path is not None)


class ServerTls:
    """The context of a server, which is made anew when one of its files was changed: connections that are open keep
    theirs. Files that cannot be used are logged once, and the certificate before stays in use. Thread-safe."""

    def __init__(self, files: TlsFiles, *, asks: bool) -> None:
        """
        Raises:
            CertificatesUnusable: see `TlsFiles.client`.
        """
        self._files, self._asks = files, asks
        self._lock = threading.Lock()
        self._stamp = self._stamps()
        self._context = files.server(asks=asks)

    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        with self._lock:
            stamp = self._stamps()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._context = self._files.server(asks=self._asks)
                    log.info("the listener's certificates were read again")
                except CertificatesUnusable as error:
                    log.error("the listener's new certificates cannot be used, the ones before are kept: %s", error)
            return self._context

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._files.paths)


def in_words(error: ssl.SSLError) -> str:
    """Why TLS ended, as OpenSSL says it: "peer did not return a certificate"."""
    return (error.reason or "no reason given").replace("_", " ").lower()


def names_of(connection: ssl.SSLSocket) -> frozenset[str]:
    """By what names the other side's verified certificate calls its owner: common names, and the host names and
    addresses among its subject alternative names; none if it showed none."""
    certificate: dict[str, Any] = connection.getpeercert() or {}
    subject = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return frozenset([*subject, *(name for kind, name in certificate.get("subjectAltName", ()) if kind in _HOSTS)])


@contextmanager
def _naming(*paths: Path | None) -> Iterator[None]:
    """
    Raises:
        CertificatesUnusable: instead of the errors of reading these files; it names those that are not there, or all.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        asked = [path for path in paths if path is not None]
        named = [path for path in asked if not path.is_file()] or asked
        raise CertificatesUnusable(f"{', '.join(map(str, named))}: {_why(error)}") from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _no_password() -> bytes:
    raise ValueError("the key has a password, for which nobody could be asked: store it without one")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return {
            "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
            "NO_START_LINE": "no certificate or key in PEM is in it",
            "PEM_LIB": "no certificate or key in PEM is in it",
            "NO_CERTIFICATE_OR_CRL_FOUND": "no certificate in PEM is in it",
        }.get(error.reason or "", error.reason or "it cannot be read")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
