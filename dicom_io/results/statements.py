"""What a report says in words: one plain sentence a statement, in the order in which a radiologist should see them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from dicom_io.device import MANUFACTURER
from dicom_io.results.encoding import place
from models.types import JOINING_RULE, BundleId, ExamReading, ReadImage

RESEARCH_USE_ONLY = "For research use only. Not for diagnosis."
NOT_CALIBRATED = (
    "The scores are not calibrated: they rank lesions and images, they are not the chance of cancer, "
    "and they imply no BI-RADS category."
)
NOTHING_READ = "Nothing in this study could be read: this report says nothing about the breasts."
NO_FINDINGS = "Detection succeeded in every image that was read, and nothing was found."


@dataclass(frozen=True)
class Statement:
    """A sentence, and the instance that it is about (None: about the exam)."""

    sentence: str
    sop_instance_uid: str | None = None


def statements(exam: ExamReading, bundle: BundleId) -> Iterator[Statement]:
    """All that the report on `exam` says in words, in ASCII (a source's character set may hold no more).

    Args:
        bundle: the models in use, named where nothing was read.
    """
    for statement in _statements(exam, bundle):
        yield Statement(_ascii(statement.sentence), statement.sop_instance_uid)


def _statements(exam: ExamReading, bundle: BundleId) -> Iterator[Statement]:
    yield Statement(RESEARCH_USE_ONLY)
    bundles = dict.fromkeys(str(image.reading.bundle) for image in exam.images) or {str(bundle): None}
    yield Statement(f"Read by {MANUFACTURER} with the models {', '.join(bundles)}.")
    if exam.images:
        yield Statement(NOT_CALIBRATED)
        yield Statement(JOINING_RULE)
    else:
        yield Statement(NOTHING_READ)
    for image in exam.images:
        yield Statement(_read(image), image.sop_instance_uid)
    if exam.images and not any(image.reading.findings for image in exam.images):
        yield Statement(NO_FINDINGS)
    for unread in exam.unread:
        yield Statement(_sentence(f"Not read: {unread.what}: {unread.reason}"), unread.sop_instance_uid)
    for view in exam.missing:
        yield Statement(f"Missing view: {view}.")
    for warning in exam.warnings:
        yield Statement(_sentence(f"Warning: {warning}"))


def _read(image: ReadImage) -> str:
    count = len(image.reading.findings)
    findings = {0: "no findings", 1: "1 finding"}.get(count, f"{count} findings")
    return f"{place(image)}: read; {findings}; score {image.reading.malignancy:.1%}."


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _ascii(sentence: str) -> str:
    replaced = sentence.translate({ord("×"): "x", ord("–"): "-", ord("—"): "-", ord("’"): "'", ord("…"): "..."})
    return unicodedata.normalize("NFKD", replaced).encode("ascii", "ignore").decode()
