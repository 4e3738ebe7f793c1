"""Who signed a bundle: Ed25519 (RFC 8032) over the SHA-256 of bundle.toml.

bundle.toml has the SHA-256 of each weights file, and whoever loads one compares them (models/catalog.py). So a
signature of bundle.toml is one of all that decides a reading, except for code: that of this program and of packages
with an architecture of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from models.bundles.bundle import CARD, SIGNATURE, Bundle, BundleError, read_bundle, verify
from models.durable import write_durably


class KeyUnusable(BundleError):
    """A key cannot be used; the message names the file, the cause and the cure."""


@dataclass(frozen=True)
class Signers:
    """Whose signatures count: public keys by the name of who has the private one."""

    keys: Mapping[str, Ed25519PublicKey]

    def signer_of(self, bundle: Bundle) -> str:
        """The name of who signed the bundle.toml that the bundle was made of.

        Raises:
            BundleError: it has no signature, or none of these signers made the one that it has.
        """
        path = bundle.folder / SIGNATURE
        try:
            signature = path.read_bytes()
        except FileNotFoundError as error:
            raise BundleError(
                f"{bundle.folder}: the bundle is not signed: there is no {SIGNATURE}. Ask who made it for a signed "
                "one, or sign it with `mammo-node models sign`."
            ) from error
        except OSError as error:
            raise BundleError(f"{path}: cannot be read: {error.strerror}. Let the node's user read it.") from error
        for name, key in self.keys.items():
            try:
                key.verify(signature, bytes.fromhex(bundle.card_sha256))
            except InvalidSignature:
                continue
            return name
        raise BundleError(
            f"{path}: none of the signers in the settings ({', '.join(self.keys)}) signed this {CARD}: it was changed "
            "after it was signed, or somebody else signed it. Restore the bundle as it was made, or add its signer to "
            "bundles.signers."
        )


def signers(key_files: Mapping[str, Path]) -> Signers:
    """The signers with these public keys (PEM files), by name.

    Raises:
        KeyUnusable: a file cannot be read, or holds no public key for Ed25519.
    """
    return Signers({name: _public_key(path) for name, path in key_files.items()})


def sign(folder: Path, key_file: Path, passphrase: Callable[[], str]) -> None:
    """Signs the bundle in `folder` with the private key in a PEM file, in place of a signature that it has.

    Args:
        passphrase: asks for that of the key; called if it has one.

    Raises:
        BundleError: the bundle cannot be read or written, or its weights are not those of its bundle.toml.
        KeyUnusable: the file cannot be read, holds no private key for Ed25519, or the passphrase is another.
    """
    bundle = read_bundle(folder)
    if problems := verify(bundle):
        raise BundleError("\n".join(problems))
    key = _private_key(key_file, passphrase)
    try:
        write_durably(folder / SIGNATURE, key.sign(bytes.fromhex(bundle.card_sha256)))
    except OSError as error:
        raise BundleError(
            f"{folder / SIGNATURE}: cannot be written: {error.strerror}. Copy the bundle to a folder of your own first."
        ) from error


def _private_key(path: Path, passphrase: Callable[[], str]) -> Ed25519PrivateKey:
    pem = _bytes(path)
    try:
        try:
            key = load_pem_private_key(pem, None)
        except TypeError:  # it is encrypted
            key = load_pem_private_key(pem, passphrase().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(
            f"{path}: holds no private key that can be read, or the passphrase is another. {_MAKE}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path}: holds a key that is not for Ed25519. {_MAKE}")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(_bytes(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path}: holds no public key that can be read. {_TAKE}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{path}: holds a key that is not for Ed25519. {_TAKE}")
    return key


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyUnusable(f"{path}: cannot be read: {error.strerror}.") from error


_MAKE = "Make one with: openssl genpkey -algorithm ed25519 -out key.pem"
_TAKE = "Take it from the private key with: openssl pkey -in key.pem -pubout -out public.pem"
