"""The local copy of the audit trail: files to which lines are only appended, each chained to the one before.

    NUMBER DIGEST SYSLOG-MESSAGE

A line's digest is the SHA-256 of the digest of the line before, its own number and its message. So no line can be
changed, left out or moved without all later digests being wrong. There is a file for each day (UTC).
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from dicom_io.durable import make_folder, sync_folder

_LINE = re.compile(r"([1-9][0-9]{0,17}) ([0-9a-f]{64}) (.+)")
"""A longer number, which no trail reaches, fits into no database."""
_FILES = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9].log"
_SHORTEST_LINE = len("1 ") + 64 + len(" x\n")
_BEGINNING = 256
"""More than the number and the digest of a line have."""
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Head:
    """How far a trail was written: the number of its last line, and that line's digest."""

    lines: int
    digest: str


EMPTY = Head(0, "0" * 64)
NO_LINE = Head(0, "")
"""That of a trail whose last line is no line of a trail."""


@dataclass(frozen=True)
class Line:
    """One line. `digest`: as it is written."""

    number: int
    digest: str
    message: str

    @classmethod
    def read(cls, text: str) -> Line | None:
        """None: it is no line of a trail."""
        found = _LINE.fullmatch(text)
        return None if found is None else cls(int(found[1]), found[2], found[3])

    def follows(self, head: Head) -> bool:
        """Whether it is the next line, unchanged."""
        return self.number == head.lines + 1 and self.digest == digest_of(head.digest, self.number, self.message)

    @property
    def head(self) -> Head:
        return Head(self.number, self.digest)

    @property
    def xml(self) -> str:
        """The audit message in the syslog message; "" if there is none."""
        _, begin, rest = self.message.partition("<AuditMessage")
        return begin + rest


def digest_of(before: str, number: int, message: str) -> str:
    """The digest of a line whose predecessor has the digest `before`."""
    return sha256(f"{before} {number} {message}".encode()).hexdigest()


@dataclass(frozen=True)
class Trail:
    """The files of a trail in `folder`."""

    folder: Path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other thread and no other process is in such a block.

        Raises:
            OSError: the folder cannot be made or written.
        """
        make_folder(self.folder, mode=0o700)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def files(self) -> list[Path]:
        """In the order in which they were written."""
        return sorted(self.folder.glob(_FILES))

    def head(self) -> Head | None:
        """The last whole line, whatever its length; NO_LINE: it is no line of a trail; None: there is none.

        Raises:
            OSError: a file cannot be read.
        """
        for file in reversed(self.files()):
            with suppress(FileNotFoundError), file.open("rb") as opened:  # it may be moved away meanwhile
                descriptor = opened.fileno()
                end = _behind_last_break(descriptor, os.fstat(descriptor).st_size)
                if end:
                    begin = _behind_last_break(descriptor, end - 1)
                    text = os.pread(descriptor, min(_BEGINNING, end - 1 - begin), begin).decode("utf-8", "replace")
                    last = Line.read(text)
                    return NO_LINE if last is None else last.head
        return None

    def has_room_for(self, lines: int) -> bool:
        """Whether the files are large enough for so many lines: where not, a number is not that of a node's line."""
        return lines * _SHORTEST_LINE <= sum(file.stat().st_size for file in self.files())

    def append(self, messages: Sequence[str], after: Head, at: float) -> Head:
        """Appends lines, durably, and returns the new head; within `alone`. An incomplete line, which a kill left, is
        removed first.

        Args:
            after: the head that they follow.
            at: now, UTC seconds since the epoch: decides the file.

        Raises:
            OSError: they could not be written.
        """
        today = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d.log")
        file = self.folder / max([today, *(known.name for known in self.files()[-1:])])  # the clock may be set back
        is_new, head, lines = not file.exists(), after, []
        for message in messages:
            head = Head(head.lines + 1, digest_of(head.digest, head.lines + 1, message))
            lines.append(f"{head.lines} {head.digest} {message}\n")
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as opened:
            _cut_incomplete_line(opened.fileno())
            opened.write("".join(lines).encode())
            opened.flush()
            os.fsync(opened.fileno())
        if is_new:
            sync_folder(self.folder)
        return head

    def lines(self) -> Iterator[tuple[Path, Line | None]]:
        """Every line with its file; None for what is no line. An incomplete last line is one."""
        for file in self.files():
            with (
                suppress(FileNotFoundError),  # it was moved away meanwhile
                file.open(encoding="utf-8", errors="replace", newline="\n") as opened,
            ):
                for text in opened:
                    yield file, Line.read(text.removesuffix("\n")) if text.endswith("\n") else None


@dataclass
class TrailReader:
    """Reads a trail on from the line after `read`. Files that are moved away meanwhile are left out."""

    trail: Trail
    read: int
    _file: Path | None = None
    _offset: int = 0

    def next_lines(self, most: int, until: int) -> list[Line]:
        """The next lines, at most so many, and none with a number beyond `until`; what is no line is left out. The same
        again until `took`."""
        return [line for line, _, _ in self._following(most, until)]

    def took(self, lines: Sequence[Line]) -> None:
        """These need not be read any more."""
        for line, file, offset in self._following(len(lines), max((line.number for line in lines), default=0)):
            self.read, self._file, self._offset = line.number, file, offset

    def _following(self, most: int, until: int) -> Iterable[tuple[Line, Path, int]]:
        found: list[tuple[Line, Path, int]] = []
        for file in self.trail.files():
            if self._file is not None and file < self._file:
                continue
            offset = self._offset if file == self._file else 0
            with suppress(FileNotFoundError), file.open("rb") as opened:
                opened.seek(offset)
                for text in opened:
                    if not text.endswith(b"\n"):
                        break  # it is being written
                    offset += len(text)
                    line = Line.read(text.decode("utf-8", "replace").removesuffix("\n"))
                    if line is not None and self.read < line.number <= until:
                        found.append((line, file, offset))
                        if len(found) == most:
                            return found
        return found


@dataclass(frozen=True)
class Verified:
    """What a verification found.

    Attributes:
        head: the last line that follows from those before.
        fault: the first fault, in words; "" if there is none.
    """

    head: Head
    fault: str = ""


def verify(
    trail: Trail, known: Head, being_written: Mapping[int, str], until: int | None = None, first_line: int = 1
) -> Verified:
    """Verifies that each line follows from the one before, up to the first that does not, and that the last one is the
    one that the database knows.

    Args:
        known: how far the trail was written, as the database has it.
        being_written: the lines behind it that a kill may have left in the files: their numbers, and their XML.
        until: the last line of that moment: later ones are held against the line before alone.
        first_line: the number of the first line that should be there: 1, unless earlier files were moved away. It
            cannot be checked against the one before.
    """
    start = EMPTY if first_line == 1 else Head(first_line - 1, "")
    head, was_there = start, known.lines < first_line
    for file, line in trail.lines():
        if line is None:
            says = "is no line of a trail: it was changed, or is not complete"
            return Verified(head, f"{file.name}: what comes after line {head.lines} {says}")
        if line.number != head.lines + 1:
            return Verified(head, f"{file.name}: after line {head.lines} comes line {line.number}: {_gap(line, head)}")
        if head.digest and not line.follows(head):
            says = "it was changed, or the lines before are not those that the node wrote"
            return Verified(head, f"{file.name}: line {line.number} does not follow from the one before: {says}")
        is_new = line.number > known.lines and (until is None or line.number <= until)
        if is_new and being_written.get(line.number) != line.xml:
            says = "the database does not know it: somebody else wrote it, or the database is an older one"
            return Verified(head, f"{file.name}: line {line.number}: {says}")
        head = line.head
        if line.number == known.lines:
            was_there = True
            if line.digest != known.digest:
                says = "the database knows another line of this number: all lines up to it may have been written anew"
                return Verified(head, f"{file.name}: line {line.number}: {says}")
    if not was_there and known.lines > head.lines:
        says = f"lines {head.lines + 1} to {known.lines}, which the database knows, are missing: the trail was cut"
        return Verified(head, says)
    return Verified(head)


def _gap(line: Line, head: Head) -> str:
    if line.number <= head.lines:
        return "lines were moved or put in twice"
    first, last = head.lines + 1, line.number - 1
    return f"line {first} is missing" if first == last else f"lines {first} to {last} are missing"


def _cut_incomplete_line(descriptor: int) -> None:
    """Removes what stands behind the last whole line."""
    end = os.fstat(descriptor).st_size
    whole = _behind_last_break(descriptor, end)
    if whole < end:
        os.ftruncate(descriptor, whole)


def _behind_last_break(descriptor: int, end: int) -> int:
    """The place behind the last line break before `end`; 0: there is none."""
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
