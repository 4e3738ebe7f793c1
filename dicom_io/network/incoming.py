"""Writes a received data set to disk."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION
from xxhash import xxh3_64

from dicom_io.durable import FULL
from dicom_io.network.answers import Answer, Status

BLOCK = 1 << 20
"""Bytes per write, and the size of the buffer: no more of a data set is in memory."""
_SECTOR = 4096
_DIRECT = getattr(os, "O_DIRECT", 0)


def head_of(command: Dataset, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and File Meta Information (PS3.10 section 7.1) for the file of a C-STORE's data set."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # pydicom computes it
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(str(command.get("AffectedSOPClassUID", "")))
    meta.MediaStorageSOPInstanceUID = UID(str(command.get("AffectedSOPInstanceUID", "")))
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = PYNETDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = PYNETDICOM_IMPLEMENTATION_VERSION
    encoded = DicomBytesIO()
    write_file_meta_info(encoded, meta, enforce_standard=False)
    return b"\x00" * 128 + b"DICM" + encoded.getvalue()


class IncomingFile:
    """Writes a data set that arrives in pieces, after its File Meta Information, as a Part 10 file.

    The node chooses the file name. A fault (disk full, too large) does not raise: DICOM cannot stop a sender within a
    data set, so the rest is discarded, and `fault` is the answer.

    Each file has its own buffer, so that two data sets cannot be mixed. After writing, the file is read back, and its
    length and checksum are compared with the received data before Success is answered.

    Blocks bypass the page cache (O_DIRECT) if the file system supports that: they must be on the disk before the
    answer, a mammogram is not read again at once, and the copy through the cache costs more time than the network.
    """

    def __init__(self, folder: Path, head: bytes, max_bytes: int, refused: Answer | None = None) -> None:
        """Opens a new file in `folder` that begins with `head` (preamble, prefix, File Meta Information).

        If `refused` is given, the data set is discarded and nothing is written.
        """
        self.fault = refused
        self._block = memoryview(mmap.mmap(-1, BLOCK))  # aligned to a memory page, as O_DIRECT requires
        self._filled = 0
        self._written = 0
        self._checksum, self._digest = xxh3_64(), sha256()
        self._max_bytes = max_bytes
        self._descriptor: int | None = None
        self._direct = False
        self.path = folder / f"{id(self):x}.part"  # does not exist if nothing is written
        if refused is None:
            self._create(folder)
        self.write(head)

    @property
    def sha256(self) -> str:
        """Of the bytes that were received so far, in hexadecimal; after `finish` without a fault, of the file."""
        return self._digest.hexdigest()

    def room(self, size: int) -> memoryview:
        """The part of the buffer for the next bytes: at least 1 and at most `size` bytes."""
        if self._filled == len(self._block):
            self._flush()
        return self._block[self._filled : self._filled + size]

    def took(self, size: int) -> None:
        """Must be called after `size` bytes were put into `room`."""
        end = self._filled + size
        if self.fault is None:
            self._checksum.update(self._block[self._filled : end])
            self._digest.update(self._block[self._filled : end])
        self._filled = end

    def write(self, data: bytes | memoryview) -> None:
        """Appends bytes (copies them into `room`)."""
        rest = memoryview(data)
        while rest:
            room = self.room(len(rest))
            room[:] = rest[: len(room)]
            self.took(len(room))
            rest = rest[len(room) :]

    def finish(self) -> None:
        """Writes the rest, syncs the file to disk (not its name: see durable.sync_folder), and compares the file with
        the received data. Sets `fault` on failure."""
        self._flush()
        if self.fault is None and self._descriptor is not None:
            try:
                os.ftruncate(self._descriptor, self._written)  # the last block was padded to a whole sector
                os.fsync(self._descriptor)
                if self._as_written() != (self._written, self._checksum.digest()):
                    self.fault = Answer(Status.NO_STORAGE, "the disk does not hold what was sent: send again")
            except OSError as error:
                self.fault = _disk_fault(error)
        self._close()

    def discard(self) -> None:
        """Closes the file, and deletes it unless it was moved."""
        self._close()
        with suppress(FileNotFoundError, NotADirectoryError):  # moved, or never created
            self.path.unlink()

    def _create(self, folder: Path) -> None:
        try:
            folder.mkdir(exist_ok=True)  # another process may have taken this one for ended
            self._descriptor, name = tempfile.mkstemp(dir=folder, suffix=".part")
        except OSError as error:
            self.fault = _disk_fault(error)
        else:
            self.path = Path(name)
            self._direct = _go_direct(self._descriptor)

    def _flush(self) -> None:
        filled, self._filled = self._filled, 0
        self._written += filled
        if self.fault is None and self._written > self._max_bytes:
            self.fault = Answer(Status.TOO_LARGE, "larger than this node takes (max_image_mb)")
        if self.fault is not None or self._descriptor is None:
            return
        try:
            self._write(self._descriptor, filled)
        except OSError as error:
            self.fault = _disk_fault(error)

    def _write(self, descriptor: int, filled: int) -> None:
        data = self._block[: filled + -filled % _SECTOR] if self._direct else self._block[:filled]
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except OSError as error:
                if not self._direct or error.errno != errno.EINVAL:
                    raise
                _leave_direct(descriptor)  # O_DIRECT was accepted, but the file system requires another alignment
                self._direct = False

    def _as_written(self) -> tuple[int, bytes]:
        """Length and checksum of the file, opened again by its name."""
        length, checksum = 0, xxh3_64()
        with self.path.open("rb", buffering=0) as written:
            while read := written.readinto(self._block):
                checksum.update(self._block[:read])
                length += read
        return length, checksum.digest()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _go_direct(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | _DIRECT)
    except OSError:
        return False  # no O_DIRECT on this file system: the page cache is as safe, but slower
    return bool(_DIRECT)


def _leave_direct(descriptor: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~_DIRECT)


def _disk_fault(error: OSError) -> Answer:
    if error.errno in FULL:
        return Answer(Status.NO_SPACE, "out of disk space: free some and send again")
    return Answer(Status.NO_STORAGE, f"cannot write to disk: {errno.errorcode.get(error.errno or 0, 'I/O error')}")
