"""What a report says in words: one plain sentence a statement, in the order in which a radiologist should see them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from dicom_io.device import MANUFACTURER
from dicom_io.results.encoding import place
from dicom_io.results.labels import percent
from dicom_io.results.statements_calibration import calibration_sentences
from dicom_io.results.ties import tie_sentences
from models.types import JOINING_RULE, Agreement, BundleId, Concordance, ExamReading, Laterality, Likelihood, ReadImage

RESEARCH_USE_ONLY = "For research use only. Not for diagnosis."
NOTHING_READ = "Nothing in this study could be read: this report says nothing about the breasts."
NO_FINDINGS = "Detection succeeded in every image that was read, and nothing was found."
MEASURED = (
    "Long axes are measured on the outlines with the image's pixel spacing: an image at the detector shows a lesion "
    "slightly larger than it is."
)
OBLONG_PIXELS = "its pixels are not square: some viewers (OHIF 3.12) draw outlines in the wrong place on such an image."
AGREEMENT_RULE = (
    "Categories are compared as up to 3 against above 3; 0 is a recall and stands with above 3; 6 is left out. "
    "The radiologist's categories are quoted: nobody has verified this report."
)
_BREASTS = {Laterality.LEFT: "Left breast", Laterality.RIGHT: "Right breast", None: "Exam"}


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
        for sentence in calibration_sentences(exam):
            yield Statement(sentence)
        yield Statement(JOINING_RULE)
        for breast in exam.breasts:
            yield Statement(f"{_BREASTS[breast.laterality]}: {_worth(breast.malignancy, breast.likelihood)}.")
    else:
        yield Statement(NOTHING_READ)
    if exam.malignancy is not None:
        yield Statement(f"Exam: {_worth(exam.malignancy, exam.likelihood)}.")
    for concordance in exam.concordances:
        yield Statement(_compared(concordance), concordance.assessment.sop_instance_uid)
    if exam.concordances:
        yield Statement(AGREEMENT_RULE)
    for image in exam.images:
        yield Statement(_read(image), image.sop_instance_uid)
    for image in exam.images:
        if image.reading.findings and _has_oblong_pixels(image):
            yield Statement(f"Warning: {place(image)}: {OBLONG_PIXELS}", image.sop_instance_uid)
    if exam.images and not any(image.reading.findings for image in exam.images):
        yield Statement(NO_FINDINGS)
    if any(image.reading.spacing_mm and image.reading.findings for image in exam.images):
        yield Statement(MEASURED)
    for sentence in tie_sentences(exam):
        yield Statement(sentence)
    for unread in exam.unread:
        yield Statement(_sentence(f"Not read: {unread.what}: {unread.reason}"), unread.sop_instance_uid)
    for view in exam.missing:
        yield Statement(f"Missing view: {view}.")
    for warning in exam.warnings:
        yield Statement(_sentence(f"Warning: {warning}"))


def _read(image: ReadImage) -> str:
    count = len(image.reading.findings)
    findings = {0: "no findings", 1: "1 finding"}.get(count, f"{count} findings")
    return f"{place(image)}: read; {findings}; {_worth(image.reading.malignancy, image.reading.likelihood)}."


def _has_oblong_pixels(image: ReadImage) -> bool:
    row_mm, column_mm = image.reading.spacing_mm or (1.0, 1.0)
    return row_mm != column_mm


def _worth(score: float, likelihood: Likelihood | None) -> str:
    told = f"score {score:.3f}"
    if likelihood is None:
        return told
    return f"{told}; probability of cancer {percent(likelihood.probability)}; implied category {likelihood.category}"


def _compared(concordance: Concordance) -> str:
    assessment = concordance.assessment
    implied = f"implied: {concordance.implied}" if concordance.implied else "none is implied"
    told = (
        f"{_BREASTS[concordance.laterality]}: the radiologist's BI-RADS category (by {assessment.source}): "
        f"{assessment.category}; {implied}; {concordance.agreement}"
    )
    return _sentence(f"{told}: {concordance.why}" if concordance.agreement is Agreement.NOT_COMPARED else told)


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _ascii(sentence: str) -> str:
    replaced = sentence.translate({ord("×"): "x", ord("–"): "-", ord("—"): "-", ord("’"): "'", ord("…"): "..."})
    return unicodedata.normalize("NFKD", replaced).encode("ascii", "ignore").decode()
