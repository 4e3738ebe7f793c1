"""Settings of bundles: whose signatures count, and whether one is required."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from config.fields import Name, Section


class Signer(Section):
    """Who signs bundles; `public_key` is a PEM file (Ed25519)."""

    name: Name
    public_key: Path


class Bundles(Section):
    """Which bundles the node reads with."""

    signers: tuple[Signer, ...] = ()
    signature_required: bool = False

    @model_validator(mode="after")
    def _somebody_may_sign(self) -> Bundles:
        names = [signer.name for signer in self.signers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"signers: name is used twice: {', '.join(twice)}")
        if self.signature_required and not self.signers:
            raise ValueError("signature_required needs signers: whose signatures count")
        return self
