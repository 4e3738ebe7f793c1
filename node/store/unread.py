"""Why an image is not read: what the database stores, and the sentence that people get."""

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
    UNREADABLE = "unreadable"
    """It was tried and given up; the detail says of what."""


_SENTENCES = {
    Unread.NO_MAMMOGRAM: "an image, but no mammogram",
    Unread.NO_IMAGE: "no image",
    Unread.SECONDARY_CAPTURE: "secondary capture: read as a mammogram only where the setting reads_secondary_capture "
    "of its sender says so",
    Unread.IN_QUARANTINE: "the study is in quarantine",
    Unread.RAW_COPY: "raw image: the image for presentation of the same view was read instead",
}


def sentence(unread: Unread, detail: str = "") -> str:
    """For the report and for `status`; `detail` where the reason alone does not say it. Without patient data."""
    return _SENTENCES.get(unread, detail)
