"""The node's own certificates: until when each is valid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from config.peers import ByTls, WebService
from config.settings import Settings
from dicom_io.errors import CertificatesUnusable
from dicom_io.network.tls import TlsFiles
from node.operations.machine import CheckResult
from node.peers import server_tls, tls_files

SOON_S = 30 * 86400.0
"""A certificate that ends within this time should be renewed."""


@dataclass(frozen=True)
class OwnCertificate:
    """`of`: what it is used for, as in "destination pacs"; `ends`: UTC seconds since the epoch, None if the file cannot
    be read, and `fault` says why."""

    of: str
    path: Path
    ends: float | None
    fault: str = ""


def own_certificates(settings: Settings) -> list[OwnCertificate]:
    """All certificates of the settings that the node shows to others."""
    return [_read(of, path) for of, path in _files(settings)]


def certificates(settings: Settings, now: float) -> list[CheckResult]:
    """One result for each: whether it is valid, and longer than SOON_S; and whether the files of TLS can be used."""
    return [*_usable(settings), *(_judged(certificate, now) for certificate in own_certificates(settings))]


def _files(settings: Settings) -> Iterator[tuple[str, Path]]:
    if settings.receiver.tls is not None:
        yield "receiver.tls", settings.receiver.tls.certificate
    if settings.hl7.tls is not None:
        yield "hl7.tls", settings.hl7.tls.certificate
    if settings.web.certificate is not None:
        yield "the page", settings.web.certificate
    if settings.ray.tls is not None:
        yield "ray.tls", settings.ray.tls.certificate
    for kind, peers in (("destination", settings.destinations), ("source", settings.sources)):
        for peer in peers:
            if isinstance(peer, WebService):
                if peer.client_certificate is not None:
                    yield f"{kind} {peer.name}", peer.client_certificate
            elif isinstance(peer, ByTls) and peer.tls is not None and peer.tls.certificate:
                yield f"{kind} {peer.name}", peer.tls.certificate
    if settings.audit.tls is not None and settings.audit.tls.certificate is not None:
        yield "audit.tls", settings.audit.tls.certificate
    for sender in settings.senders:
        if sender.find_tls is not None and sender.find_tls.certificate is not None:
            yield f"sender {sender.ae_title}", sender.find_tls.certificate


def _read(of: str, path: Path) -> OwnCertificate:
    try:
        first = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        return OwnCertificate(of, path, None, error.strerror or "it cannot be read")
    except ValueError:
        return OwnCertificate(of, path, None, "no certificate in PEM is in it")
    return OwnCertificate(of, path, first.not_valid_after_utc.timestamp())


def _judged(certificate: OwnCertificate, now: float) -> CheckResult:
    about = f"certificate of {certificate.of}"
    if certificate.ends is None:
        return CheckResult(about, False, f"{certificate.path}: {certificate.fault}")
    days = int((certificate.ends - now) // 86400)
    if certificate.ends <= now:
        return CheckResult(about, False, f"{certificate.path}: it has expired: peers refuse it. Renew it")
    soon = certificate.ends - now < SOON_S
    says = f"{certificate.path}: it expires in {days} days" + (". Renew it" if soon else "")
    return CheckResult(about, True, says, warns=soon)


def _usable(settings: Settings) -> Iterator[CheckResult]:
    """A failure for each side of TLS whose files cannot be used together."""
    sides: list[tuple[str, TlsFiles | None]] = [
        ("the audit trail", tls_files(settings.audit.tls)),
        *((f"sender {sender.ae_title}", tls_files(sender.find_tls)) for sender in settings.senders),
        *(
            (peer.name, tls_files(peer.tls))
            for peer in (*settings.destinations, *settings.sources)
            if isinstance(peer, ByTls)
        ),
    ]
    if settings.web.certificate is not None:
        try:
            TlsFiles(settings.web.certificate, settings.web.key, None).server(asks=False)
        except CertificatesUnusable as error:
            yield CheckResult("TLS of the page", False, str(error))
    for name, server in (("receiver.tls", settings.receiver.tls), ("hl7.tls", settings.hl7.tls)):
        try:
            if server is not None:
                server_tls(server)
        except CertificatesUnusable as error:
            yield CheckResult(name, False, str(error))
    for name, files in sides:
        try:
            if files is not None:
                files.client()
        except CertificatesUnusable as error:
            yield CheckResult(f"TLS of {name}", False, str(error))
