"""Is a received file whole? Its header is read; its pixels are only measured, never brought into memory."""

from __future__ import annotations

import struct
import sys
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

from dicom_io.bounds import CONTENT, PIXELS, check_bounds
from dicom_io.errors import NotReadable, is_the_machines
from dicom_io.pixels.file_meta import read_file_meta
from dicom_io.pixels.pixel_element import CutShort, PixelElement, Span, find_pixels

_LARGE = 1 << 16  # bytes: longer values are passed over until somebody asks for them
_UNDEFINED = 0xFFFFFFFF


class FileList(NotReadable):
    """A DICOMDIR (PS3.10 section 8.6): it lists the files of a medium, and may have more items than any image."""

    def __init__(self) -> None:
        super().__init__("a DICOMDIR: a medium's list of files and no image; read or send the folder of those files")


@dataclass(frozen=True, eq=False)
class WholeFile:
    """A file that was found to be whole.

    Attributes:
        dataset: everything before the pixel data, but not bounds.CONTENT: that is only measured too.
        header: where that stands in the file; None in a deflated file, where bytes do not tell.
        pixels: where the pixel data's value stands, fragments and delimiter included; None where there is none.
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
        max_bytes: more than these a deflated data set must not grow to.

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
    except Exception as cause:  # whatever a parser may stumble over in damaged bytes
        if is_the_machines(cause):
            raise
        if isinstance(cause, OSError):  # pydicom's, in a sequence
            raise CutShort("The file is cut short within its header.") from cause
        raise NotReadable("The DICOM file is damaged.") from cause


def read_up_to_pixels(path: Path) -> Dataset:
    """All of a file up to its pixels, whole or not. A deflated one is inflated to the disk, beside it, and never into
    the memory; how large it may grow was measured where it was received.

    Raises:
        InvalidDicomError, NotReadable: no DICOM file, damaged, or beyond bounds.check_bounds.
        OSError: the machine did not give it.
    """
    with _header(path) as (header, _):
        return header


def read_as_stored(path: Path) -> Dataset:
    """A data set with its pixel data as the file has it, fragments and all, but nothing of what lies behind.

    Raises:
        InvalidDicomError, NotReadable: no DICOM file, damaged, or beyond bounds.check_bounds.
        OSError: the machine did not give it.
    """
    with _header(path) as (dataset, file):
        if found := find_pixels(file, dataset):
            file.seek(found.value.start)
            dataset.add_new(found.keyword, found.vr or "OW", file.read(found.value.end - found.value.start))
            dataset[found.keyword].is_undefined_length = found.fragments is not None
    return dataset


@contextmanager
def _header(path: Path) -> Iterator[tuple[FileDataset, BinaryIO]]:
    """All before the pixel data, and the file at the position where it begins."""
    meta, start = read_file_meta(path)
    with _data_set(path, meta, start) as (file, _):
        header = read_partial(file, lambda tag, vr, length: tag in PIXELS, force=True)
        header.file_meta = meta
        yield header, file


@contextmanager
def _data_set(
    path: Path, meta: FileMetaDataset, start: int, max_bytes: int = sys.maxsize
) -> Iterator[tuple[BinaryIO, Mapping[int, int]]]:
    """A file to read the data set from, inflated where it is deflated, and bounds.CONTENT in it; all within bounds."""
    syntax = UID(meta.TransferSyntaxUID)
    is_deflated = syntax == DeflatedExplicitVRLittleEndian
    with _inflated(path, start, max_bytes) if is_deflated else path.open("rb") as file:
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        content = check_bounds(file, 0 if is_deflated else start, implicit=implicit, little=little)
        file.seek(0)
        yield file, content


def _measured(file: BinaryIO, content: Mapping[int, int]) -> tuple[Dataset, PixelElement | None]:
    """The data set and its pixels; `content` says where what is passed over begins and ends."""
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
    """Sees that each element is as long as it says, and that nothing is left over of one more."""
    end = position
    for element in dataset.values():  # as they lie there: iterating a Dataset, or asking it for one, reads and converts
        if not isinstance(element, RawDataElement) or element.length == _UNDEFINED:
            end = position  # a sequence of undefined length does not say where it ends
            continue
        end = element.value_tell + element.length
        if end > size or (element.value is not None and len(element.value) < element.length):
            raise CutShort("The file is cut short within its header.")
    if end != position:
        raise CutShort("The file is cut short within its header.")


@contextmanager
def _inflated(path: Path, start: int, max_bytes: int) -> Iterator[BinaryIO]:
    """The data set of a deflated file (PS3.5 Annex A.5), inflated piece by piece to a nameless file."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    with tempfile.TemporaryFile(dir=path.parent) as plain, path.open("rb") as packed:
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
