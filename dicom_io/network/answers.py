"""The answers to a C-STORE (PS3.4 section B.2.3, PS3.7 section 9.1.1.1.9); docs/receiving.md has the table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """The DIMSE statuses with which the node answers a C-STORE. The Standard leaves the low digits of a range free."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    """A fault of the node that may be temporary: send again."""
    NO_SPACE = 0xA700
    """Refused, out of resources: the disk is nearly full, or the quota is used up."""
    NO_STORAGE = 0xA701
    """Refused, out of resources: the disk or the database could not store it."""
    TOO_LARGE = 0xA702
    """Refused, out of resources: larger than max_image_mb."""
    DOES_NOT_MATCH = 0xA900
    """The request names another SOP class or instance than the data set."""
    NOT_DICOM = 0xC000
    """Cannot understand: this is no data set in the negotiated transfer syntax."""
    TRUNCATED = 0xC001
    """Cannot understand: the data set ends before it is complete."""
    BAD_UID = 0xC002
    """Cannot understand: a UID that identifies the instance is missing or malformed."""
    CONTRADICTS = 0xC111
    """Cannot understand: the node already has an instance of this UID, with other pixels or in another study. PS3.7 has
    0111H, Duplicate SOP Instance, for N-CREATE only; PS3.4 leaves the range Cxxx to the storage SCP."""


_LONGEST_COMMENT = 64
"""Characters of a LO (PS3.5 section 6.2)."""


@dataclass(frozen=True)
class Answer:
    """A status and the Error Comment (0000,0902) that explains it: one line, without patient data.

    Raises:
        ValueError: the comment does not fit (LO: at most 64 characters, here ASCII without backslash).
    """

    status: Status
    comment: str = ""

    @classmethod
    def shortened(cls, status: Status, sentence: str) -> Answer:
        """A status with a sentence of any length, cut to the 64 characters of a comment."""
        fit = sentence.encode("ascii", "replace").decode().replace("\\", "/")
        return cls(status, " ".join(fit.split())[:_LONGEST_COMMENT])

    def __post_init__(self) -> None:
        if len(self.comment) > _LONGEST_COMMENT or not self.comment.isascii() or "\\" in self.comment:
            raise ValueError(f"Not an Error Comment: {self.comment!r}")
