"""The far side of the archive: where received instances are copied to, besides the data folder. Nothing waits for it.

A name is the file's path in the data folder. No message has one, since it has UIDs in it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import IO, Any, Protocol

from config.archive import Archive
from dicom_io.durable import sync_folder
from models.errors import UserError

_BLOCK = 1 << 20


class FarSideFailed(UserError):
    """The far side does not do what it was asked; the message says why, without a name."""


class NotThere(FarSideFailed):
    """The far side has no file of that name."""


class FarSide(Protocol):
    """A place for copies."""

    def put(self, source: Path, name: str) -> None:
        """Returns when the copy is durable and was read back, and is the same.

        Raises:
            FarSideFailed
            OSError: `source` cannot be read; FileNotFoundError: there is none.
        """

    def get(self, name: str, target: Path) -> None:
        """Writes the copy to `target`, atomically and durably.

        Raises:
            FarSideFailed, NotThere
        """


def far_side(settings: Archive) -> FarSide | None:
    """The far side of the settings; None: there is none.

    Raises:
        FarSideFailed: its library is not installed, or a file with a key cannot be read.
    """
    if settings.copy_to is None:
        return None
    return _bucket(settings) if settings.is_s3 else Folder(Path(settings.copy_to))


@dataclass(frozen=True)
class Folder:
    """A folder of another file system, such as a share. A copy is durable by fsync of its file and its folder."""

    root: Path

    def put(self, source: Path, name: str) -> None:
        digest = _digest_of(source)  # first, so that its faults are not taken for those of the far side
        with source.open("rb") as file:
            try:
                self._write(file, self._place(name))
                copied = _digest_of(self._place(name))
            except OSError as error:
                raise self._failed(error) from error
        if copied != digest:
            raise FarSideFailed(f"{self.root} does not hold what was written: look at its disk")

    def get(self, name: str, target: Path) -> None:
        try:
            with self._place(name).open("rb") as copy:
                _write_here(copy, target)
        except FileNotFoundError as error:
            raise NotThere(f"{self.root} has no copy") from error
        except OSError as error:
            raise self._failed(error) from error

    def _place(self, name: str) -> Path:
        return self.root / name

    def _write(self, file: IO[bytes], target: Path) -> None:
        if not self.root.is_dir():  # not made: an empty folder below a mount point would fill the node's own disk
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        _make_folders(target.parent, self.root)
        _write_here(file, target)

    def _failed(self, error: OSError) -> FarSideFailed:
        return FarSideFailed(
            f"{self.root}: {error.strerror or type(error).__name__}: is it mounted, and may be written?"
        )


def _bucket(settings: Archive) -> FarSide:
    try:
        from s3fs import S3FileSystem
    except ImportError as error:
        raise FarSideFailed('archive.copy_to is in S3: pip install "mammo-node[s3]", or name a folder') from error
    keys = {}
    if settings.key_id_file is not None and settings.secret_key_file is not None:
        keys = {"key": _secret(settings.key_id_file), "secret": _secret(settings.secret_key_file)}
    # No caches: another process may write.
    files = S3FileSystem(endpoint_url=settings.endpoint, use_listings_cache=False, skip_instance_cache=True, **keys)
    return Bucket(str(settings.copy_to), files)


@dataclass(frozen=True)
class Bucket:
    """A bucket of S3, or of a server that speaks it. A copy is durable when the server has answered: an object is there
    as a whole or not at all, and who reads it then sees it (S3's strong consistency)."""

    root: str
    files: Any
    """An s3fs.S3FileSystem."""

    def put(self, source: Path, name: str) -> None:
        digest = _digest_of(source)
        self._try(lambda: self.files.put_file(str(source), f"{self.root}/{name}"))
        if self._try(lambda: self._digest(name)) != digest:
            raise FarSideFailed(f"{self.root} does not hold what was sent")

    def get(self, name: str, target: Path) -> None:
        def fetch() -> None:
            with self._opened(name) as copy:
                _write_here(copy, target)

        self._try(fetch)

    def _opened(self, name: str) -> Any:
        return self.files.open(f"{self.root}/{name}", "rb", cache_type="readahead", block_size=8 * _BLOCK)

    def _digest(self, name: str) -> bytes:
        with self._opened(name) as copy:
            return file_digest(copy, "sha256").digest()

    def _try(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except FileNotFoundError as error:
            raise NotThere(f"{self.root} has no copy, or there is no such bucket") from error
        except Exception as error:  # boto raises errors of many types, whose words may have names of objects
            code = getattr(error, "response", {}).get("Error", {}).get("Code") or getattr(error, "strerror", None)
            raise FarSideFailed(f"{self.root}: {type(error).__name__}{f' ({code})' if code else ''}") from error


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FarSideFailed(f"{path}: the key cannot be read: {getattr(error, 'strerror', 'is no text')}") from error


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()


def _make_folders(folder: Path, root: Path) -> None:
    if folder != root and not folder.is_dir():
        _make_folders(folder.parent, root)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        sync_folder(folder.parent)


def _write_here(copy: IO[bytes], target: Path) -> None:
    """Writes a file atomically and durably; blocks, since an image is large."""
    part = target.with_name(f"{target.name}.part")
    with part.open("wb") as file:
        shutil.copyfileobj(copy, file, _BLOCK)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    sync_folder(target.parent)
