"""Reads the File Meta Information of a Part 10 file (PS3.10 section 7.1)."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag

from dicom_io.errors import NotReadable


def read_file_meta(path: Path) -> tuple[FileMetaDataset, int]:
    """The File Meta Information, and the position of the data set after it.

    The position is that of the first element of another group. The group length is not used: some writers leave it out
    or state it wrong.

    Raises:
        InvalidDicomError: the file does not begin as a Part 10 file does.
        NotReadable: it holds a sequence, which is not allowed (PS3.10 Table 7.1-1). pydicom would write it into a log
            message, which takes hours for a hundred nested sequences with a fault.
    """
    with path.open("rb") as file:
        read_preamble(file, force=False)
        found = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_of_the_data_set)
        if any(element.VR == "SQ" for element in found.values()):
            raise NotReadable("The File Meta Information holds a sequence: the file is damaged.")
        return FileMetaDataset(found), file.tell()


def _is_of_the_data_set(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2
