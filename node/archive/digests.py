"""The digests of received files, by which a change on the disk is noticed.

SHA-256 of the file as it was received, in the instance's row. It is calculated while the bytes arrive, and the file is
read back and compared before Success is answered (dicom_io/network/incoming.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from dicom_io.errors import NotReadable

CHANGED = "its file in the archive was changed or damaged after it was received: send it again"


@dataclass(frozen=True)
class ArchivedFile:
    """A received file. `sha256`: in hexadecimal; None: not known, as an older version received it."""

    path: Path
    sha256: str | None = None

    @property
    def is_intact(self) -> bool:
        """Whether it holds what was received, as far as that is known.

        Raises:
            OSError: it cannot be read.
        """
        return self.sha256 is None or digest_of(self.path) == self.sha256

    def read(self) -> bytes:
        """What it holds.

        Raises:
            NotReadable: it was changed since it was received.
            OSError: it cannot be read.
        """
        content = self.path.read_bytes()
        if self.sha256 is not None and sha256(content).hexdigest() != self.sha256:
            raise NotReadable(CHANGED)
        return content


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
