"""Checks that a file is whole, and reads its header. Pixel data is measured, and not loaded into memory."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from dicom_io.bounds import CONTENT, MOST_BYTES, PIXELS, check_bounds
from dicom_io.errors import NotReadable, is_the_machines
from dicom_io.pixels.file_meta import read_file_meta
from dicom_io.pixels.pixel_element import CutShort, PixelElement, Span, find_pixels

_LARGE = 1 << 16
"""Bytes: pydicom reads a longer value only when it is asked for."""
_LARGEST_INFLATED = (1 << 32) + MOST_BYTES
"""Bytes: the length of pixel data that is not encapsulated has 32 bits (PS3.5 section 7.1)."""
_UNDEFINED = 0xFFFFFFFF


class FileList(NotReadable):
    """A DICOMDIR (PS3.10 section 8.6): it lists the files of a medium, and may have more items than an image."""

    def __init__(self) -> None:
        super().__init__("a DICOMDIR: a medium's list of files and no image; read or send the folder of those files")


@dataclass(frozen=True, eq=False)
class WholeFile:
    """A file that is whole.

    Attributes:
        dataset: all elements before the pixel data, except those of bounds.CONTENT, which are only measured.
        header: the position of the elements before the pixel data in the file; None for a deflated file, whose bytes
            cannot be compared.
        pixels: the position of the pixel data's value, with its fragments and delimiter; None if there is none or the
            file is deflated.
        has_pixels: whether there is pixel data, deflated or not.
    """

    path: Path
    dataset: Dataset
    transfer_syntax_uid: UID
    header: Span | None
    pixels: Span | None
    has_pixels: bool


def read_whole_file(path: Path, max_bytes: int) -> WholeFile:
    """Reads a Part 10 file's header and checks that every element up to the end of the pixel data is there.

    Args:
        max_bytes: the largest size of a deflated data set once it is inflated.

    Raises:
        CutShort: the file ends within an element.
        FileList: it is a DICOMDIR.
        NotReadable: no DICOM file, damaged, or beyond bounds.check_bounds.
    """
    try:
        meta, start = read_file_meta(path)
        if meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            raise FileList
        with _data_set(path, meta, start, max_bytes) as (file, content):
            dataset, pixels = _measured(file, content)
        syntax = UID(meta.TransferSyntaxUID)
        if syntax == DeflatedExplicitVRLittleEndian:
            return WholeFile(path, dataset, syntax, None, None, pixels is not None)
        header = Span(start, pixels.value.start if pixels else path.stat().st_size)
        return WholeFile(path, dataset, syntax, header, pixels.value if pixels else None, pixels is not None)
    except NotReadable:
        raise
    except InvalidDicomError as cause:
        raise NotReadable("The file is not a DICOM file.") from cause
    except (EOFError, struct.error) as cause:
        raise CutShort("The file is cut short within its header.") from cause
    except Exception as cause:  # damaged bytes can raise anything in a parser
        if is_the_machines(cause):
            raise
        if isinstance(cause, OSError):  # pydicom's, in a sequence
            raise CutShort("The file is cut short within its header.") from cause
        raise NotReadable("The DICOM file is damaged.") from cause


def read_up_to_pixels(path: Path) -> Dataset:
    """All elements of a file before its pixel data, whether the file is whole or not.

    Raises: as `open_at_pixels`.
    """
    with open_at_pixels(path) as (header, _):
        return header


def read_as_stored(path: Path) -> Dataset:
    """A data set with its pixel data as stored, with all fragments. Elements after the pixel data are not read.

    Raises: as `open_at_pixels`, and CutShort.
    """
    with open_at_pixels(path) as (dataset, file):
        if found := find_pixels(file, dataset):
            file.seek(found.value.start)
            dataset.add_new(found.keyword, found.vr or "OW", file.read(found.value.end - found.value.start))
            dataset[found.keyword].is_undefined_length = found.fragments is not None
    return dataset


@contextmanager
def open_at_pixels(path: Path, max_bytes: int = _LARGEST_INFLATED) -> Iterator[tuple[FileDataset, BinaryIO]]:
    """All elements before the pixel data, and the open file at the position where the pixel data begins.

    A deflated data set is inflated into a temporary file in the system's temporary directory, and not into memory.

    Args:
        max_bytes: the largest size of a deflated data set once it is inflated.

    Raises:
        InvalidDicomError, NotReadable: no DICOM file, damaged, or beyond bounds.check_bounds.
        OSError: the file or the temporary file cannot be read or written.
    """
    meta, start = read_file_meta(path)
    with _data_set(path, meta, start, max_bytes) as (file, _):
        header = read_partial(file, lambda tag, vr, length: tag in PIXELS, force=True)
        header.file_meta = meta
        yield header, file


@contextmanager
def _data_set(
    path: Path, meta: FileMetaDataset, start: int, max_bytes: int
) -> Iterator[tuple[BinaryIO, Mapping[int, int]]]:
    """A file to read the data set from (inflated if it was deflated), and where the elements of bounds.CONTENT stand in
    it. The data set has passed bounds.check_bounds."""
    syntax = UID(meta.TransferSyntaxUID)
    is_deflated = syntax == DeflatedExplicitVRLittleEndian
    with _inflated(path, start, max_bytes) if is_deflated else path.open("rb") as file:
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        content = check_bounds(file, 0 if is_deflated else start, implicit=implicit, little=little)
        file.seek(0)
        yield file, content


def _measured(file: BinaryIO, content: Mapping[int, int]) -> tuple[Dataset, PixelElement | None]:
    """The data set and its pixels; `content` holds the start and end of each element that is skipped."""
    size = file.seek(0, 2)
    file.seek(0)
    dataset = read_partial(file, _is_large, defer_size=_LARGE, force=True)
    position = file.tell()
    _check_lengths(dataset, position, size)
    implicit, little = map(bool, dataset.original_encoding)
    while position in content:
        file.seek(content[position])
        part = read_dataset(file, implicit, little, stop_when=_is_large, defer_size=_LARGE)
        position = file.tell()
        _check_lengths(part, position, size)
        dataset.update(part)
    if not dataset:
        raise NotReadable("The file holds no data set in its transfer syntax.")
    file.seek(position)
    return dataset, find_pixels(file, dataset)


def _is_large(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag in CONTENT or tag in PIXELS


def _check_lengths(dataset: Dataset, position: int, size: int) -> None:
    """Checks that each element has the length that it states, and that no part of another element follows."""
    end = position
    for element in dataset.values():  # raw elements: iterating or indexing a Dataset would read and convert them
        if not isinstance(element, RawDataElement) or element.length == _UNDEFINED:
            end = position  # a sequence of undefined length does not state its end
            continue
        end = element.value_tell + element.length
        if end > size or (element.value is not None and len(element.value) < element.length):
            raise CutShort("The file is cut short within its header.")
    if end != position:
        raise CutShort("The file is cut short within its header.")


@contextmanager
def _inflated(path: Path, start: int, max_bytes: int) -> Iterator[BinaryIO]:
    """The data set of a deflated file (PS3.5 section A.5), inflated in pieces into a temporary file without a name.

    It is made in the system's temporary directory: the folder of a data set may be read-only.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    with tempfile.TemporaryFile() as plain, path.open("rb") as packed:
        packed.seek(start)
        while not inflater.eof:
            piece = inflater.unconsumed_tail or packed.read(_LARGE)
            if not piece:
                raise CutShort("The deflated data set is cut short.")
            plain.write(inflater.decompress(piece, 1 << 20))
            if plain.tell() > max_bytes:
                raise NotReadable("The deflated data set is larger than this node takes.")
        plain.seek(0)
        yield plain
