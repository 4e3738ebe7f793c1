"""Certificates of an authority that exists for a test only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """Signs certificates; its own is the file `path`."""

    def __init__(self, folder: Path, name: str = "Authority of a test") -> None:
        self._folder = folder
        self._name = _name(name)
        self._key: Key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(_pem(self._signed(self._name, self._key.public_key(), 0, 1, [], of_authority=True)))

    def issue(
        self, name: str, *also: str, since_days: float = -1, until_days: float = 1, rsa_key: bool = False
    ) -> tuple[Path, Path]:
        """The files of a certificate and its key, for a common name and subject alternative names (or addresses), valid
        from and to so many days from now."""
        key: Key = rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())
        certificate, secret = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(_pem(self._signed(_name(name), key.public_key(), since_days, until_days, also)))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, secret

    def _signed(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        since_days: float,
        until_days: float,
        also: Sequence[str],
        *,
        of_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=min(since_days, -1 / 24)))
            .not_valid_after(now + timedelta(days=until_days))
            .add_extension(x509.BasicConstraints(ca=of_authority, path_length=None), critical=True)
        )
        if also:
            made = made.add_extension(x509.SubjectAlternativeName([_general(name) for name in also]), critical=False)
        return made.sign(self._key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    """A host name, an address, or with a prefix an e-mail address or a directory name."""
    if name.startswith("mail:"):
        return x509.RFC822Name(name.removeprefix("mail:"))
    if name.startswith("directory:"):
        return x509.DirectoryName(_name(name.removeprefix("directory:")))
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
