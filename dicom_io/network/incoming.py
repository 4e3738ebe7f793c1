"""A data set on its way from the network to the disk."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

from dicom_io.durable import FULL
from dicom_io.network.answers import Answer, Status

BLOCK = 1 << 20
"""Bytes written at once: all that is ever held of an image."""
_SECTOR = 4096
_DIRECT = getattr(os, "O_DIRECT", 0)


def head_of(command: Dataset, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and file meta information (PS3.10 section 7.1) of the file that a C-STORE becomes."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # counted as it is written
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
    """Takes a data set in pieces and lays it down, behind its file meta information, as a Part 10 file.

    The name is of our own making. A fault (disk full, larger than allowed) does not raise: the rest is swallowed, as
    the protocol has no way to stop a sender within a data set, and `fault` is what it will be answered.

    Each file has a buffer of its own, so that two data sets can never meet in one. What lies on the disk in the end is
    read back and compared, in length and checksum, with what came: whoever is told Success can rely on it.

    The blocks go past the page cache (O_DIRECT) where the file system can do that: they must be on the disk before
    the answer anyway, a mammogram is not read again at once, and copying it into cache pages that are then written
    back costs more than the network does.
    """

    def __init__(self, folder: Path, head: bytes, max_bytes: int, refused: Answer | None = None) -> None:
        """Opens a new file in `folder` that begins with `head` (preamble, prefix, file meta information).

        What is `refused` beforehand is swallowed and not written.
        """
        self.fault = refused
        self._block = memoryview(mmap.mmap(-1, BLOCK))  # aligned to a memory page, as direct writing wants it
        self._filled = 0
        self._written = 0
        self._checksum = 0
        self._max_bytes = max_bytes
        self._descriptor: int | None = None
        self._direct = False
        self.path = folder / f"{id(self):x}.part"  # never there, if nothing is to be written
        if refused is None:
            self._create(folder)
        self.write(head)

    def room(self, size: int) -> memoryview:
        """Where the next bytes of the data set belong: at least 1 and at most `size` of them."""
        if self._filled == len(self._block):
            self._flush()
        return self._block[self._filled : self._filled + size]

    def took(self, size: int) -> None:
        """Says that `size` bytes were put into `room`."""
        end = self._filled + size
        if self.fault is None:
            self._checksum = zlib.crc32(self._block[self._filled : end], self._checksum)
        self._filled = end

    def write(self, data: bytes | memoryview) -> None:
        """The same for bytes that lie elsewhere already."""
        rest = memoryview(data)
        while rest:
            room = self.room(len(rest))
            room[:] = rest[: len(room)]
            self.took(len(room))
            rest = rest[len(room) :]

    def finish(self) -> None:
        """Writes what is left, waits until all is on the disk (but for the name: see durable.sync_folder), and sees
        that it is what came."""
        self._flush()
        if self.fault is None and self._descriptor is not None:
            try:
                os.ftruncate(self._descriptor, self._written)  # the last block was filled up to a whole sector
                os.fsync(self._descriptor)
                if self._as_written() != (self._written, self._checksum):
                    self.fault = Answer(Status.NO_STORAGE, "the disk does not hold what was sent: send again")
            except OSError as error:
                self.fault = _disk_fault(error)
        self._close()

    def discard(self) -> None:
        """Closes the file and removes it, unless it was moved to its place meanwhile."""
        self._close()
        with suppress(FileNotFoundError, NotADirectoryError):  # moved away, or never there
            self.path.unlink()

    def _create(self, folder: Path) -> None:
        try:
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
                _leave_direct(descriptor)  # opened so, but the file system wants another alignment than ours
                self._direct = False

    def _as_written(self) -> tuple[int, int]:
        """Length and checksum of the file, through a descriptor of its own: whatever a name leads to is what counts."""
        length = checksum = 0
        with self.path.open("rb", buffering=0) as written:
            while read := written.readinto(self._block):
                checksum = zlib.crc32(self._block[:read], checksum)
                length += read
        return length, checksum

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _go_direct(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | _DIRECT)
    except OSError:
        return False  # a file system without it: the bytes go through the cache, which is as safe and slower
    return bool(_DIRECT)


def _leave_direct(descriptor: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~_DIRECT)


def _disk_fault(error: OSError) -> Answer:
    if error.errno in FULL:
        return Answer(Status.NO_SPACE, "out of disk space: free some and send again")
    return Answer(Status.NO_STORAGE, f"cannot write to disk: {errno.errorcode.get(error.errno or 0, 'I/O error')}")
