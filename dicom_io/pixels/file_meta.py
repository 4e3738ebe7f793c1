"""The File Meta Information of a Part 10 file, and where it ends (PS3.10 section 7.1)."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag

from dicom_io.errors import NotReadable


def read_file_meta(path: Path) -> tuple[FileMetaDataset, int]:
    """The meta information and the position of the data set behind it.

    Where the data set begins is told by its first element, not by the group length, which some writers leave out or
    count wrong.

    Raises:
        InvalidDicomError: the file does not begin as a Part 10 file does.
        NotReadable: there is a sequence in it, and none may be (PS3.10 Table 7.1-1). pydicom would put it into a
            message of its log, and where that fails within a hundred sequences, write for hours.
    """
    with path.open("rb") as file:
        read_preamble(file, force=False)
        found = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_of_the_data_set)
        if any(element.VR == "SQ" for element in found.values()):
            raise NotReadable("The File Meta Information holds a sequence: the file is damaged.")
        return FileMetaDataset(found), file.tell()


def _is_of_the_data_set(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2
