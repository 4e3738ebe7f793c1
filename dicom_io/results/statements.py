"""The sentences of a report, in the order in which a radiologist should see them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from dicom_io.device import MANUFACTURER
from dicom_io.results.encoding import place
from dicom_io.results.labels import percent, verdict, worth
from dicom_io.results.own_codes import range_of
from dicom_io.results.statements_calibration import calibration_sentences
from dicom_io.results.ties import tie_sentences
from models.types.birads import Agreement, Concordance, Likelihood
from models.types.exam import JOINING_RULE, ExamImage, ExamReading, UnreadImage
from models.types.mammogram import Laterality
from models.types.reading import BundleId
from models.types.reference import ReferenceTenth
from models.types.words import RESEARCH_USE_ONLY, counted

NOTHING_READ = "Nothing in this study could be read: this report says nothing about the breasts."
NO_FINDINGS = "Detection succeeded in every image that was read, and nothing was found."
MEASURED = (
    "Long axes are measured on the outlines with the image's pixel spacing: an image at the detector shows a lesion "
    "slightly larger than it is."
)
OBLONG_PIXELS = "its pixels are not square: some viewers (OHIF 3.12) draw outlines in the wrong place on such an image."
AGREEMENT_RULE = (
    "The comparison is whether both recall: the models above the threshold, the radiologist with a category above 3 or "
    "with 0. Category 6 is not compared. The radiologist's categories are quoted; no person has verified this report."
)
WITHDRAWN = (
    "The radiologist's BI-RADS category was withdrawn or corrected: it is not quoted any more, and nothing is compared "
    "with it."
)
_BREASTS = {Laterality.LEFT: "Left breast", Laterality.RIGHT: "Right breast", None: "Exam"}


@dataclass(frozen=True)
class Statement:
    """A sentence, and the SOP Instance UID of its image (None: the exam)."""

    sentence: str
    sop_instance_uid: str | None = None


def statements(exam: ExamReading, bundle: BundleId) -> Iterator[Statement]:
    """Yields all sentences of the report on `exam`, in ASCII, because the source's character set may allow only that.

    Args:
        bundle: the models in use, named if nothing was read.
    """
    for statement in _statements(exam, bundle):
        yield Statement(_ascii(statement.sentence), statement.sop_instance_uid)


def summary_statements(exam: ExamReading) -> Iterator[Statement]:
    """Yields the most important sentences, in ASCII: exam and breasts, the comparison with the radiologist, whether the
    scores are calibrated, unread images and missing views."""
    lacking = [image for image in exam.unread if not image.on_purpose]
    calibration = [Statement(sentence) for sentence in islice(calibration_sentences(exam), 1) if exam.images]
    for statement in (*_summary(exam), *calibration, *_not_read(lacking), *_missing(exam)):
        yield Statement(_ascii(statement.sentence), statement.sop_instance_uid)


def summary_sentences(exam: ExamReading, revision: int) -> list[str]:
    """The text at the top of a report: the most important sentences, and which reports it replaces."""
    sentences = [statement.sentence for statement in summary_statements(exam)]
    if revision > 1:
        sentences.insert(1, f"This is revision {revision}: it replaces all earlier reports of this study.")
    return sentences


def tenth_sentence(tenth: ReferenceTenth) -> str:
    """ "Exam: 9 of 10: tenth of reference set NAME (n = 412, not screening)."."""
    return f"Exam: {tenth}."


def tenth_rule(tenth: ReferenceTenth) -> str:
    """What the number means, and that 10 is not the top tenth of screening unless the set is screening."""
    rule = "A tenth ranks the exam's score among those of the reference set; 10 has the highest. It is no probability."
    return rule if tenth.of.is_screening else f"{rule} The set is not screening: 10 is not the top tenth of screening."


def compared(concordance: Concordance, exam: ExamReading) -> str:
    """One sentence that compares a radiologist's category with the models' probability."""
    assessment, side = concordance.assessment, concordance.laterality
    category = (
        f"{_BREASTS[side]}: the radiologist's BI-RADS category (by {assessment.source}): {assessment.category}; "
        f"{concordance.agreement}"
    )
    if concordance.agreement is Agreement.NOT_COMPARED or concordance.likelihood is None:
        return _sentence(f"{category}: {concordance.why}")
    probability = percent(concordance.likelihood.probability, exam.recall_threshold)
    return f"{category}; the probability, {probability}, lies {_distance_to_range(concordance)}."


def withheld_sentences(exam: ExamReading) -> Iterator[str]:
    """Yields of which breasts, and whether of the exam, nothing negative is stated, and why; nothing if no image was
    read, which NOTHING_READ says."""
    for side in (None, *Laterality) if exam.images else ():
        if why := exam.withheld.get(side):
            yield f"{_BREASTS[side]}: nothing negative is stated, because {why}."


def _distance_to_range(concordance: Concordance) -> str:
    """How far the probability is from the range of the assigned category, in words."""
    away, category = concordance.points_away, concordance.assessment.category
    if away is None:
        return f"in no range: category {category} has none"
    meant = range_of(category, concordance.laterality).meaning
    if not away:
        return f"within that category's range ({meant})"
    side = "above" if away > 0 else "below"
    return f"{abs(away).normalize():f} percentage points {side} that category's range ({meant})"


def _summary(exam: ExamReading) -> Iterator[Statement]:
    yield Statement(RESEARCH_USE_ONLY)
    if not exam.images:
        yield Statement(NOTHING_READ)
    if exam.malignancy is not None:
        yield Statement(f"Exam: {_score_and_verdict(exam.malignancy, exam.likelihood, None, exam.recall_threshold)}.")
    if exam.tenth is not None:
        yield Statement(tenth_sentence(exam.tenth))
    for breast in exam.breasts:
        side = breast.laterality
        score = _score_and_verdict(breast.malignancy, breast.likelihood, side, exam.recall_threshold)
        yield Statement(f"{_BREASTS[side]}: {score}.")
    yield from map(Statement, withheld_sentences(exam))
    for concordance in exam.concordances:
        yield Statement(compared(concordance, exam), concordance.assessment.sop_instance_uid)
    if exam.concordances:
        yield Statement(AGREEMENT_RULE)
    if exam.withdrawn:
        yield Statement(WITHDRAWN)


def _statements(exam: ExamReading, bundle: BundleId) -> Iterator[Statement]:
    yield from _summary(exam)
    bundles = dict.fromkeys(str(image.reading.bundle) for image in exam.images) or {str(bundle): None}
    yield Statement(f"Read by {MANUFACTURER} with the models {', '.join(bundles)}.")
    if exam.images:
        for sentence in calibration_sentences(exam):
            yield Statement(sentence)
        yield Statement(JOINING_RULE)
    if exam.tenth is not None:
        yield Statement(tenth_rule(exam.tenth))
    for image in exam.images:
        yield Statement(_read(image), image.sop_instance_uid)
    for image in exam.images:
        if image.reading.findings and _has_oblong_pixels(image):
            yield Statement(f"Warning: {place(image)}: {OBLONG_PIXELS}", image.sop_instance_uid)
    if exam.images and not any(image.reading.findings for image in exam.images):
        yield Statement(NO_FINDINGS)
    for sentence in measured_sentences(exam):
        yield Statement(sentence)
    for sentence in tie_sentences(exam):
        yield Statement(sentence)
    yield from _not_read(exam.unread)
    yield from _missing(exam)
    for warning in exam.warnings:
        yield Statement(_sentence(f"Warning: {warning}"))


def _not_read(unread: Iterable[UnreadImage]) -> Iterator[Statement]:
    for image in unread:
        yield Statement(_sentence(f"Not read: {image.name}: {image.reason}"), image.sop_instance_uid)


def _missing(exam: ExamReading) -> Iterator[Statement]:
    for view in exam.missing:
        yield Statement(f"Missing view: {view}.")


def measured_sentences(exam: ExamReading) -> Iterator[str]:
    """Yields how lengths were measured, if there are any, and which spacing was used in which images."""
    if any(image.reading.spacing_mm and image.reading.findings for image in exam.images):
        yield MEASURED
    chosen: dict[str, list[str]] = {}
    for image in exam.images:
        if image.reading.spacing_by:
            chosen.setdefault(image.reading.spacing_by, []).append(place(image))
    for by, places in chosen.items():
        yield f"Lengths in {', '.join(dict.fromkeys(places))}: by {by}."


def _read(image: ExamImage) -> str:
    findings = counted(len(image.reading.findings), "finding") if image.reading.findings else "no findings"
    return f"{place(image)}: read; {findings}; {worth(image.reading.malignancy, image.reading.likelihood)}."


def _has_oblong_pixels(image: ExamImage) -> bool:
    row_mm, column_mm = image.reading.spacing_mm or (1.0, 1.0)
    return row_mm != column_mm


def in_words(exam: ExamReading) -> str:
    """The exam's score and probability: "exam score 0.79, probability 4.6 %, above the …", or why there is none, or
    "not scored".

    With a reference set also the tenth of it."""
    if exam.malignancy is None:
        return f"not scored: {exam.withheld[None]}" if exam.images and None in exam.withheld else "not scored"
    score = _score_and_verdict(exam.malignancy, exam.likelihood, None, exam.recall_threshold)
    calibrated = [] if exam.likelihood else [exam.withheld.get(None, "not calibrated")]
    tenth = [] if exam.tenth is None else [str(exam.tenth)]
    return ", ".join((f"exam {score}", *calibrated, *tenth))


def _score_and_verdict(score: float, likelihood: Likelihood | None, side: Laterality | None, threshold: float) -> str:
    figures = worth(score, likelihood, threshold)
    return figures if likelihood is None else f"{figures}, {verdict(likelihood, side, threshold)}"


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _ascii(sentence: str) -> str:
    replaced = sentence.translate({ord("×"): "x", ord("–"): "-", ord("—"): "-", ord("’"): "'", ord("…"): "..."})
    return unicodedata.normalize("NFKD", replaced).encode("ascii", "ignore").decode()
