"""The versions of one instance: a received file is never overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dicom_io.pixels.pixel_element import Span

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Version:
    """The path for another file of an instance, and whether an identical file is already there."""

    path: Path
    is_there: bool


def version_for(folder: Path, sop_instance_uid: str, received: Path, last: Path | None = None) -> Version:
    """`<uid>_<n>.dcm` with the first free n from 2, or an existing version with the same bytes as the `received` file.

    UIDs have no underscore, so the name of a version is never the name of another instance.

    Args:
        last: the instance's file by its row, which may be gone: n is greater than its n. Its path is not used for other
            bytes, since a copy of it may be on the far side, or on its way back from there.
    """
    first = folder / f"{sop_instance_uid}.dcm"
    if first.exists() and same_file(first, received):
        return Version(first, True)
    number = 2
    used = 1 if last is None else int(last.stem.partition("_")[2] or 1)
    while (path := folder / f"{sop_instance_uid}_{number}.dcm").exists() or number <= used:
        if path.exists() and same_file(path, received):
            return Version(path, True)
        number += 1
    return Version(path, False)


def uid_of(name: str) -> str:
    """The SOP Instance UID of the instance whose version a file of that name is."""
    return name.removesuffix(".dcm").partition("_")[0]


def same_file(left: Path, right: Path) -> bool:
    """Whether two files hold the same bytes, File Meta Information included (the node writes it, always the same
    way)."""
    size = left.stat().st_size
    return size == right.stat().st_size and same_bytes(left, Span(0, size), right, Span(0, size))


def same_bytes(left: Path, left_span: Span, right: Path, right_span: Span) -> bool:
    """Whether two parts of files hold the same bytes."""
    remaining = left_span.end - left_span.start
    if remaining != right_span.end - right_span.start:
        return False
    with left.open("rb") as left_file, right.open("rb") as right_file:
        left_file.seek(left_span.start)
        right_file.seek(right_span.start)
        while remaining > 0:
            wanted = min(remaining, _CHUNK)
            if left_file.read(wanted) != right_file.read(wanted):
                return False
            remaining -= wanted
    return True
