"""Why an image is not read: the stored enum, and the sentence for people."""

from __future__ import annotations

from enum import StrEnum


class Unread(StrEnum):
    LEFT_OUT = "left-out"
    """A route says so; the detail names it."""
    NO_VIEW = "no-view"
    """No ordinary view of a breast; the instance's `no_view` says what it is."""
    NO_MAMMOGRAM = "no-mammogram"
    NO_IMAGE = "no-image"
    SECONDARY_CAPTURE = "secondary-capture"
    IN_QUARANTINE = "in-quarantine"
    RAW_COPY = "raw-copy"
    REJECTED = "rejected"
    """A rejection note names it; the detail says why. Also of the note itself, with what it names."""
    UNREADABLE = "unreadable"
    """It could not be read; the detail says why."""
    PURGED = "purged"
    """It was read, and retention deleted it since. Not stored: it follows from the row."""


_SENTENCES = {
    Unread.NO_MAMMOGRAM: "an image, but no mammogram",
    Unread.NO_IMAGE: "no image",
    Unread.SECONDARY_CAPTURE: "secondary capture: read as a mammogram only where the setting reads_secondary_capture "
    "of its sender says so",
    Unread.IN_QUARANTINE: "the study is in quarantine",
    Unread.PURGED: "deleted from this node since it was read: earlier reports of this study say what was found",
    Unread.RAW_COPY: "raw image: the image for presentation of the same view was read instead",
}


def sentence(unread: Unread, detail: str = "") -> str:
    """The sentence for the report and `status`; `detail` for reasons without a fixed sentence. Without patient data."""
    return _SENTENCES.get(unread, detail)
