"""The bundles that the settings let the node read with: signed, where they require it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from config.settings import Settings, load
from models.bundles.bundle import Bundle, find_bundle, read_bundle

if TYPE_CHECKING:
    from models.bundles.signature import Signers


def open_bundle(settings: Settings, name: str | None = None) -> Bundle:
    """The bundle of this name or folder (None: the node's own). Whoever loads its weights compares their digests with
    this bundle's, so that what is loaded is what was signed.

    Raises:
        BundleError: it cannot be found or read, or is not signed as the settings require.
        KeyUnusable: the public key of a signer cannot be used.
    """
    bundle = read_bundle(find_bundle(name or settings.reader.bundle))
    if settings.bundles.signature_required:
        signers_of(settings).signer_of(bundle)
    return bundle


def named_bundle(name: str, config: Path | None) -> Bundle:
    """The same for who reads without a node: any bundle, unless the settings in a file say which signatures count.

    Raises:
        SettingsError: the settings cannot be used.
        BundleError, KeyUnusable: as for `open_bundle`.
    """
    return read_bundle(find_bundle(name)) if config is None else open_bundle(load(config), name)


def signers_of(settings: Settings) -> Signers:
    """Whose signatures count.

    Raises:
        KeyUnusable: a public key cannot be used.
    """
    from models.bundles.signature import signers  # its library is only for who checks signatures

    return signers({signer.name: signer.public_key for signer in settings.bundles.signers})
