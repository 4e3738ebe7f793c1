"""Splits the body of a Store request (multipart/related, RFC 2387) into files, as it arrives: no part is in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

DICOM = "application/dicom"
LONGEST_BOUNDARY = 200
"""RFC 2046 (section 5.1.1) has 70; Orthanc sends 73."""
LONGEST_PREAMBLE = 4096


class Malformed(Exception):
    """The body is not what its media type says; the message says what is wrong."""


class WrongMediaType(Exception):
    """The request has another media type than those that the node takes."""


@dataclass(frozen=True)
class Part:
    """A part that has arrived. `is_whole`: False if it is larger than it may be, and its end is left out."""

    path: Path
    is_whole: bool


class Body(Protocol):
    """Takes the chunks of a body, and gives the parts that are complete."""

    def feed(self, chunk: bytes) -> list[Part]:
        """Raises Malformed; OSError where the disk does not take it."""

    def end(self) -> list[Part]:
        """Raises Malformed: the body is cut short."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def body_of(media_type: str, folder: Path, most_bytes: int) -> Body:
    """The reader of a body with this Content-Type: parts of the type application/dicom, or one instance alone.

    Args:
        folder: for the files; the caller deletes them.
        most_bytes: of a part.

    Raises:
        WrongMediaType, Malformed: it cannot be read.
    """
    name, options = parse_options_header(media_type)
    if name.lower() == DICOM.encode():
        return _OneInstance(folder, most_bytes)
    kind = options.get(b"type", DICOM.encode()).partition(b";")[0].strip().lower()
    if name.lower() != b"multipart/related" or kind != DICOM.encode():
        raise WrongMediaType
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise Malformed("the Content-Type names no boundary that can be used")
    return _Multipart(boundary, folder, most_bytes)


class _Files:
    """Writes one part after another."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._number = 0
        self._left = 0
        self._is_whole = True
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _begin(self) -> None:
        self._close()
        self._number += 1
        self._left, self._is_whole = self._most_bytes, True
        self._file = self._path.open("wb")

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise Malformed("data outside of a part")
        kept = data[: self._left]
        self._is_whole = self._is_whole and len(kept) == len(data)
        self._left -= len(kept)
        self._file.write(kept)

    def _finish(self) -> Part:
        self._close()
        return Part(self._path, self._is_whole)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._number}.dcm"


class _OneInstance(_Files):
    """The body is one instance."""

    def feed(self, chunk: bytes) -> list[Part]:
        if self._file is None:
            self._begin()
        self._write(chunk)
        return []

    def end(self) -> list[Part]:
        return [] if self._file is None else [self._finish()]


class _Multipart(_Files):
    def __init__(self, boundary: bytes, folder: Path, most_bytes: int) -> None:
        super().__init__(folder, most_bytes)
        self._complete: list[Part] = []
        self._ended = False
        self._opening = b"--" + boundary
        self._preamble: bytes | None = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._all_read,
            },
        )

    def feed(self, chunk: bytes) -> list[Part]:
        chunk = self._without_preamble(chunk)
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise Malformed("the parts cannot be told apart by the boundary") from error
        complete, self._complete = self._complete, []
        return complete

    def end(self) -> list[Part]:
        if not self._ended:
            raise Malformed("the body ends before its last boundary")
        return []

    def _without_preamble(self, chunk: bytes) -> bytes:
        """What comes before the first boundary is for people (RFC 2046, section 5.1.1)."""
        if self._preamble is None:
            return chunk
        self._preamble += chunk
        start = (b"\r\n" + self._preamble).find(b"\r\n" + self._opening)
        if start < 0:
            if len(self._preamble) > LONGEST_PREAMBLE:
                raise Malformed("the body does not begin with its boundary")
            return b""
        begun, self._preamble = self._preamble[start:], None
        return begun

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._write(data[start:end])

    def _part_end(self) -> None:
        self._complete.append(self._finish())

    def _all_read(self) -> None:
        self._ended = True
