"""Output folders of commands, and the errors of those that cannot be written."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.cli.terminal.failure import CommandFailed

_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""Errors that only occur in writing, and that do not name the file."""


def make_folder(out: Path) -> None:
    """Creates the folder for the results and checks that it can be written, before the work begins.

    Raises:
        CommandFailed: it cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise CommandFailed(f"--out {out}: nothing can be written there: {error.strerror}") from error


@contextmanager
def writing_to(out: Path) -> Iterator[None]:
    """Turns an OSError of writing in `out` into a clear message.

    Raises:
        CommandFailed: `out`, or a file in it, cannot be made or written.
    """
    try:
        yield
    except OSError as error:
        place = Path(str(error.filename)) if error.filename is not None else None
        if error.errno not in _OF_WRITING and not (place and (place.is_relative_to(out) or out.is_relative_to(place))):
            raise
        raise CommandFailed(
            f"--out {out}: cannot be written ({error.strerror}). Give another folder, or free disk space."
        ) from error
