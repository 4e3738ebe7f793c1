"""The identity of the installation: generated once, stored in its folder, written into every object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from dicom_io.durable import create_durably
from models.errors import UserError

IDENTITY = "installation-id"
"""The file, with a UUID in it."""


class UnknownInstallation(UserError):
    """The file with the installation's identity is damaged."""


def identity_of(folder: Path, draw: Callable[[], UUID]) -> UUID:
    """The identity that is stored in a folder; generated and stored if there is none.

    Raises:
        UnknownInstallation: the file holds no UUID.
    """
    file = folder / IDENTITY
    try:
        kept = file.read_bytes()
    except FileNotFoundError:
        kept = create_durably(file, f"{draw()}\n".encode())
    try:
        return UUID(kept.decode("ascii", errors="replace").strip())
    except ValueError as error:
        raise UnknownInstallation(
            f"{file} holds no UUID: put it back from a backup, or remove it: the node is another device from then on."
        ) from error
