"""The identity of the installation: generated once, stored in its folder, written into every object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.durable import create_durably
from models.errors import UserError
from node.store.advisory import lock_in_transaction
from node.store.tables import DataFolder

IDENTITY = "installation-id"
"""The file, with a UUID in it."""


class UnknownInstallation(UserError):
    """The file with the installation's identity is damaged."""


class OtherDataFolder(UserError):
    """The queue belongs to another data folder."""


def belongs_here(session: Session, identity: UUID, data_dir: Path) -> None:
    """Compares the data folder with that of the queue, which it becomes at the first start. All paths of a queue are
    in one folder: in another one every image would count as unreadable.

    Raises:
        OtherDataFolder
    """
    lock_in_transaction(session, "data folder")  # several processes may start at the same time
    its = session.scalar(select(DataFolder.installation))
    if its is None:
        session.add(DataFolder(installation=str(identity)))
    elif its != str(identity):
        raise OtherDataFolder(
            f"The queue belongs to another data folder, with {its} in its file {IDENTITY}; {data_dir} has {identity}. "
            "All processes of a node share one data folder: set data_dir to it, or give another node another "
            f"database_url. If this is the right folder and its file was lost, write {its} into it."
        )


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
