"""The reader: any file of the archive is decoded, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_bytes import damaged_files, images
from hypothesis import strategies as some

from dicom_io.errors import NotReadable

MODULES = (
    "dicom_io/attributes.py",
    "dicom_io/headers.py",
    "dicom_io/pixels/bits.py",
    "dicom_io/pixels/codestreams.py",
    "dicom_io/pixels/contrast.py",
    "dicom_io/pixels/decoding.py",
    "dicom_io/pixels/file_meta.py",
    "dicom_io/pixels/luts.py",
    "dicom_io/pixels/mammogram.py",
    "dicom_io/pixels/pixel_element.py",
)


def inputs() -> some.SearchStrategy[bytes]:
    return damaged_files(images())


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], str]]:
    from node.archive.digests import ArchivedFile
    from node.reader.decoding import decode

    path = folder / "image.dcm"

    def run(data: bytes) -> str:
        path.write_bytes(data)
        try:
            image = decode(ArchivedFile(path), 100_000)
        except NotReadable:
            return "refused"
        assert 0 <= image.pixels.min() < image.pixels.max() <= 1
        return "read"

    yield run
