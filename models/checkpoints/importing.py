"""Imports a published checkpoint as a part of a bundle: checks its digest, runs no code in it, renames its tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from models.bundles.bundle import Bundle
from models.bundles.writing import NewPart, put_part
from models.catalog import ARCHITECTURES, adapter_of
from models.checkpoints.known import OFFICIAL, Official
from models.checkpoints.reading import StartError, read_start
from models.errors import UserError

_SHOWN = 300


class ImportRefused(UserError):
    """A checkpoint cannot be imported; the message names the file, the cause and the cure."""


def import_checkpoint(
    path: Path,
    name: str,
    out: Path,
    base: Bundle | None = None,
    *,
    sha256: str | None = None,
    half: bool = False,
) -> Bundle:
    """Puts a user's checkpoint into the bundle in `out`.

    Args:
        path: a state dict, as PyTorch or safetensors write it, or a YOLOv8 as ultralytics writes it.
        name: the checkpoint's name, a key of `OFFICIAL`.
        out: the bundle's folder; created if missing.
        base: the source of a new bundle's other parts; see `put_part`.
        sha256: the digest that the file must have, instead of the published one; hexadecimal.
        half: store kernels in half precision.

    Raises:
        ImportRefused: the name is unknown, the digest is wrong, the file is damaged, or its weights do not fit the
            network.
        BundleError: `out` holds a bundle that cannot be read.
    """
    if name not in OFFICIAL:
        raise ImportRefused(f"{name!r} is not known. Give --as one of {', '.join(OFFICIAL)}.")
    official = OFFICIAL[name]
    _check_digest(path, name, official, sha256)
    try:
        found = read_start(path)
    except StartError as error:
        raise ImportRefused(
            f"{path}: is damaged or not a checkpoint (nothing but named tensors is read). "
            f"Get it again from {official.source}."
        ) from error
    weights = ARCHITECTURES[official.architecture]().from_official(found)
    _check_fit(path, name, official, weights)
    part = NewPart(
        role=official.role,
        weights=weights,
        architecture=official.architecture,
        settings=official.settings,
        licence=official.licence,
        training_data=official.training_data,
        half=half,
    )
    return put_part(out, part, base)


def _check_digest(path: Path, name: str, official: Official, sha256: str | None) -> None:
    algorithm, wanted = ("sha256", sha256.lower()) if sha256 is not None else (official.algorithm, official.digest)
    found, own = _digest(path, algorithm), _digest(path, "sha256")
    if not wanted:
        raise ImportRefused(
            f"{path}: no digest of {name} is known here, so the file cannot be verified. If you trust it, "
            f"add --sha256 {own}"
        )
    if found != wanted:
        label = algorithm.upper().replace("SHA256", "SHA-256")
        raise ImportRefused(
            f"{path}: {label} is {found}, not {wanted}: it is truncated, damaged, or a different file than {name}. "
            f"Get it again from {official.source}. If you trust this file, give its own digest with --sha256 {own}"
        )


def _digest(path: Path, algorithm: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise ImportRefused(f"{path}: cannot be read: {error.strerror}. Give the checkpoint's file.") from error


def _check_fit(path: Path, name: str, official: Official, weights: Mapping[str, torch.Tensor]) -> None:
    try:
        adapter_of(official.architecture, weights, official.settings, torch.device("cpu"), mixed_precision=False)
    except (RuntimeError, ValueError) as error:
        cause = " ".join(str(error).split())
        raise ImportRefused(
            f"{path}: its weights are not those of {name}: {cause[:_SHOWN]}{' …' if len(cause) > _SHOWN else ''} "
            "Give its name with --as; weights of a detector for other classes are a --start for `train detector`."
        ) from error
