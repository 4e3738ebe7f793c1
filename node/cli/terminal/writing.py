"""A folder that a command writes to, and cannot."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.cli.terminal.failure import CommandFailed

_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""Which only a write can meet: the error does not say of which file."""


@contextmanager
def writing_to(out: Path) -> Iterator[None]:
    """Turns a failure to write in `out` into a sentence.

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
            f"--out {out}: cannot be written ({error.strerror}). Give a folder that you may write to, with room in it."
        ) from error
