"""Keys that sign bundles, for a test only."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def key_pair(folder: Path, name: str, passphrase: str | None = None) -> tuple[Path, Path]:
    """The files of a private key and its public key."""
    key = Ed25519PrivateKey.generate()
    secret, public = folder / f"{name}.pem", folder / f"{name}-public.pem"
    protection = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return secret, public
