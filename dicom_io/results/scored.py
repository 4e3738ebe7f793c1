"""What a report states of each lesion, each breast and the exam, in codes and numbers: the same in every form in which
it is written (SR, FHIR, HL7 v2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.sr.coding import Code

from dicom_io.results import birads_codes, codes, own_codes
from dicom_io.results.encoding import LesionName, lesion_name, sides
from dicom_io.results.geometry import longest_extent_mm, outline
from dicom_io.results.labels import long_axis
from dicom_io.results.locations import location_of
from dicom_io.results.ties import ties_of
from models.types.birads import Likelihood, in_percent
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality

_BREASTS = {Laterality.LEFT: "left breast", Laterality.RIGHT: "right breast"}


@dataclass(frozen=True)
class Figure:
    """A number as it is printed, with its concept and its unit (UCUM)."""

    concept: Code
    value: float
    unit: Code


@dataclass(frozen=True)
class Coded:
    """A concept with a code for its value."""

    concept: Code
    value: Code


@dataclass(frozen=True, eq=False)
class Scored:
    """The exam, a breast or a lesion with its score.

    Attributes:
        name: "exam", "left breast", or of a lesion its Tracking Identifier.
        laterality: of the breast or breasts it is about (CID 244); None if not known.
        image: the one that the score comes from.
        algorithm: of the score, with what it scores: different models score lesions and whole images.
        version: of the algorithm.
        score: 0..1, two decimals; its concept's meaning names what is scored.
        probability: in percent; None if the score is not calibrated.
        holds_for: what the probability depends on: prevalence, and the recall threshold of a breast or exam.
        verdict: of a calibrated breast or exam: recall, the category's range, and the category itself only if the site
            asks for it (safety rule 3).
        tenth: of a reference set, of the exam.
        compared: of a breast or exam: agreement with the radiologist, and the quoted category (not as an assessment).
    """

    name: str
    laterality: Code | None
    image: ExamImage
    algorithm: str
    version: str
    score: Figure
    probability: Figure | None
    holds_for: tuple[Figure, ...]
    verdict: tuple[Coded, ...] = ()
    tenth: Figure | None = None
    compared: tuple[Coded, ...] = ()


@dataclass(frozen=True, eq=False)
class ScoredLesion:
    """A lesion with its score.

    Attributes:
        tracked: its names, with the tracking UID that it has in every object.
        found: the kind of lesion.
        properties: the detector's certainty, and the long axis where the spacing is known.
        sentences: doubts, location, and lesions that may be the same.
    """

    scored: Scored
    number: int
    tracked: LesionName
    found: Coded
    properties: tuple[Figure, ...]
    sentences: tuple[str, ...]


def scored_lesions(exam: ExamReading) -> Iterator[ScoredLesion]:
    """Yields each lesion of each image, the highest score first: viewers open a report at its first lesion."""
    lesions = [(image, number) for image in exam.images for number in range(1, len(image.reading.findings) + 1)]
    for image, number in sorted(lesions, key=lambda entry: -entry[0].reading.findings[entry[1] - 1].malignancy):
        yield _lesion(exam, image, number)


def scored_wholes(exam: ExamReading, *, coded_category: bool) -> Iterator[Scored]:
    """Yields each breast, then the exam; nothing if nothing was read."""
    for breast in exam.breasts:
        images = [image for image in exam.images if image.laterality is breast.laterality]
        yield _whole(exam, images, breast.laterality, breast.malignancy, breast.likelihood, coded_category)
    if exam.malignancy is not None:
        yield _whole(exam, exam.images, None, exam.malignancy, exam.likelihood, coded_category)


def outcome(exam: ExamReading) -> Code:
    """Whether the images could be read and whether something was found (CID 6047)."""
    if not exam.images:
        return codes.NO_ALGORITHM_SUCCEEDED
    found = any(image.reading.findings for image in exam.images)
    complete = all(image.on_purpose for image in exam.unread)
    return codes.CAD_SUMMARIES[complete, found]


def _lesion(exam: ExamReading, image: ExamImage, number: int) -> ScoredLesion:
    finding = image.reading.findings[number - 1]
    tracked = lesion_name(image, number)
    properties = [Figure(codes.CERTAINTY_OF_FINDING, round(100 * float(finding.confidence)), codes.PERCENT)]
    if image.reading.spacing_mm:
        extent = round(longest_extent_mm(outline(finding.mask), image.reading.spacing_mm), 1)
        properties.append(Figure(codes.LONG_AXIS, extent, codes.MILLIMETRE))
    words = ", ".join((f"{number} {finding.kind.in_words}", *long_axis(image, number)))
    scored = Scored(
        name=tracked.identifier,
        laterality=codes.LATERALITIES[image.laterality] if image.laterality else None,
        image=image,
        algorithm=_algorithm(image, "lesions"),
        version=image.reading.bundle.version,
        score=_score(words, finding.malignancy),
        probability=_probability(finding.likelihood),
        holds_for=_holds_for(finding.likelihood, image),
    )
    sentences = (
        *([finding.doubt] if finding.doubt else []),
        *location_of(exam, image, number),
        *ties_of(exam, image, number),
    )
    found = Coded(codes.FINDING, codes.FINDINGS[finding.kind])
    return ScoredLesion(scored, number, tracked, found, tuple(properties), sentences)


def _whole(
    exam: ExamReading,
    images: Sequence[ExamImage],
    side: Laterality | None,
    score: float,
    likelihood: Likelihood | None,
    coded_category: bool,
) -> Scored:
    decisive = next(
        image
        for image in sorted(images, key=lambda image: not image.calibration_holds)
        if image.reading.malignancy == score
    )
    name = _BREASTS[side] if side else "exam"
    tenth = None
    if side is None and exam.tenth is not None and exam.tenth.tenth is not None:
        tenth = Figure(own_codes.tenth_name(exam.tenth), exam.tenth.tenth, own_codes.TENTH_UNIT)
    return Scored(
        name=name,
        laterality=_laterality(side, exam),
        image=decisive,
        algorithm=_algorithm(decisive, "whole images"),
        version=decisive.reading.bundle.version,
        score=_score(name, score),
        probability=_probability(likelihood, exam.recall_threshold),
        holds_for=_holds_for(likelihood, decisive, exam.recall_threshold),
        verdict=tuple(_verdict(likelihood, side, exam.recall_threshold, coded_category)) if likelihood else (),
        tenth=tenth,
        compared=tuple(_compared(exam, side)),
    )


def _compared(exam: ExamReading, side: Laterality | None) -> Iterator[Coded]:
    for concordance in exam.concordances:
        if concordance.laterality is side:
            yield Coded(own_codes.CONCORDANCE, own_codes.AGREEMENTS[concordance.agreement])
            yield Coded(own_codes.QUOTED_CATEGORY, birads_codes.CODES[concordance.assessment.category])


def _laterality(side: Laterality | None, exam: ExamReading) -> Code | None:
    if side:
        return codes.LATERALITIES[side]
    lateralities = [codes.LATERALITIES[side] for side in sides(exam)]
    return codes.BOTH if len(lateralities) == 2 else next(iter(lateralities), None)


def _algorithm(image: ExamImage, of: str) -> str:
    return f"{image.reading.bundle.name}, score of {of}"


def _score(name: str, score: float) -> Figure:
    """`name` is part of the Code Meaning: viewers print it and the number, nothing else."""
    concept = Code(own_codes.MALIGNANCY_SCORE.value, own_codes.DESIGNATOR, f"{name}, score")
    return Figure(concept, round(float(score), 2), own_codes.SCORE_UNIT)


def _probability(likelihood: Likelihood | None, *threshold: float) -> Figure | None:
    if likelihood is None:
        return None
    return Figure(codes.PROBABILITY_OF_CANCER, float(in_percent(likelihood.probability, *threshold)), codes.PERCENT)


def _holds_for(likelihood: Likelihood | None, image: ExamImage, *threshold: float) -> tuple[Figure, ...]:
    if likelihood is None:
        return ()
    shares = [(own_codes.PREVALENCE, image.reading.prevalence)]
    shares += [(own_codes.RECALL_THRESHOLD, share) for share in threshold]
    return tuple(
        Figure(concept, float(in_percent(share, share)), codes.PERCENT)
        for concept, share in shares
        if share is not None
    )


def _verdict(
    likelihood: Likelihood, side: Laterality | None, recall_threshold: float, coded_category: bool
) -> Iterator[Coded]:
    yield Coded(own_codes.RECALL, own_codes.RECALLED[likelihood.is_recalled(recall_threshold)])
    yield Coded(own_codes.CATEGORY_RANGE, own_codes.range_of(likelihood.category, side))
    if coded_category:
        yield Coded(birads_codes.ASSESSMENT_CATEGORY, own_codes.CODED_CATEGORIES[likelihood.category])
