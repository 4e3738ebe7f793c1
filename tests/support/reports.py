"""An exam for reports, and functions that walk the tree of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO

from pydicom import Dataset, dcmread
from readings import ENCODING, STUDY, blob, header, lesion, read_image

from dicom_io.results.encode import encode_results
from dicom_io.results.encoding import Encoding
from models.birads.concordance import concordances
from models.readings import exam as exams
from models.types.birads import Assessment, AssessmentSource, Category, Likelihood
from models.types.exam import ExamImage, ExamReading, FindingId, Location, Tie, UnreadImage
from models.types.mammogram import Laterality
from models.types.reading import FindingKind
from models.types.reference import ReferenceSet, ReferenceTenth

SHAPE = (120, 101)
R_CC, L_CC, R_MLO, TOMO, OLD_REPORT = (f"{STUDY}.{number}" for number in range(2, 7))
PREVALENCE = 0.006


def some_images() -> list[ExamImage]:
    mass = lesion(40, 30, blob(31, 40, 1), malignancy=0.625)
    cluster = lesion(5, 60, blob(22, 17, 2), FindingKind.CALCIFICATION, malignancy=0.25)
    return [
        read_image(R_CC, SHAPE, mass, cluster, malignancy=0.5),
        read_image(L_CC, SHAPE, lesion(9, 8, blob(20, 20, 3)), laterality=Laterality.LEFT, malignancy=0.125),
        read_image(R_MLO, SHAPE, view="MLO", malignancy=0.75),
    ]


def some_sources() -> dict[str, Dataset]:
    headers = [header(R_CC, SHAPE), header(L_CC, SHAPE, "L"), header(R_MLO, SHAPE, "R", "MLO"), *other_sources()]
    return {str(source.SOPInstanceUID): source for source in headers}


def other_sources() -> list[Dataset]:
    """A tomosynthesis and an old report, with only their UIDs."""
    others = []
    for uid, sop_class in ((TOMO, "1.2.840.10008.5.1.4.1.1.13.1.3"), (OLD_REPORT, "1.2.840.10008.5.1.4.1.1.88.11")):
        other = Dataset()
        other.SOPClassUID, other.SOPInstanceUID = sop_class, uid
        other.StudyInstanceUID, other.SeriesInstanceUID = STUDY, f"{uid}.1"
        others.append(other)
    return others


def some_exam(images: list[ExamImage] | None = None) -> ExamReading:
    """Three images with three lesions, and two instances that were not read; nothing is calibrated."""
    unread = [
        # As if no lesion could be in it, so that it withholds nothing (test_nothing_negative.py has that).
        UnreadImage(
            TOMO, "tomosynthesis", "breast tomosynthesis is not read yet – 2 × 60 frames", may_show_lesion=False
        ),
        UnreadImage(OLD_REPORT, "report", "it is no image.", may_show_lesion=False),
    ]
    arrived = {(Laterality.RIGHT, "CC"), (Laterality.LEFT, "CC"), (Laterality.RIGHT, "MLO")}
    return exams.put_together(some_images() if images is None else images, unread, arrived)


def calibrated(exam: ExamReading, *, lesions: bool = True, prevalence: float = PREVALENCE) -> ExamReading:
    """The exam with likelihoods: 31 % (4B) of lesions, 0.1 % (1-2) of the left breast, 3.1 % (4A) of all others."""
    breasts = {
        Laterality.LEFT: Likelihood(0.001, Category.ONE_OR_TWO),
        Laterality.RIGHT: Likelihood(0.031, Category.FOUR_A),
    }
    whole = Likelihood(0.031, Category.FOUR_A)

    def worth(image: ExamImage) -> ExamImage:
        of_lesions = Likelihood(0.31, Category.FOUR_B) if lesions else None
        findings = tuple(replace(finding, likelihood=of_lesions) for finding in image.reading.findings)
        reading = replace(image.reading, findings=findings, likelihood=whole, prevalence=prevalence)
        return replace(image, reading=reading)

    return replace(
        exam,
        images=tuple(map(worth, exam.images)),
        breasts=tuple(replace(breast, likelihood=breasts[breast.laterality]) for breast in exam.breasts),
        likelihood=whole,
    )


def with_spacing(exam: ExamReading, spacing_mm: tuple[float, float]) -> ExamReading:
    images = (replace(image, reading=replace(image.reading, spacing_mm=spacing_mm)) for image in exam.images)
    return replace(exam, images=tuple(images))


def two_view_exam() -> ExamReading:
    """A mass in the right CC, 43 mm from the nipple, and one in the right MLO, 47 mm from it, that may be one."""
    images = [
        read_image(R_CC, SHAPE, lesion(40, 30, blob(31, 40, 1))),
        read_image(R_MLO, SHAPE, lesion(50, 20, blob(30, 30, 2)), view="MLO"),
    ]
    tie = Tie((FindingId(R_CC, 1), FindingId(R_MLO, 1)), (43.2, 46.8), 0.7)
    locations = {
        FindingId(R_CC, 1): Location(43.2, None, "middle"),
        FindingId(R_MLO, 1): Location(46.8, "upper", "middle"),
    }
    return replace(some_exam(images), ties=(tie,), locations=locations)


def discordant() -> ExamReading:
    """A radiologist sees 4B where the models see nothing."""
    exam = calibrated(some_exam())
    return replace(
        exam, concordances=concordances(exam, [Assessment(Laterality.LEFT, Category.FOUR_B, AssessmentSource.HL7)])
    )


REPORTED: dict[str, Callable[[], ExamReading]] = {
    "not calibrated": some_exam,
    "calibrated": lambda: with_spacing(calibrated(some_exam()), (0.1, 0.1)),
    "nothing could be read": lambda: some_exam([]),
    "nothing was found": lambda: some_exam([read_image(R_CC, SHAPE, malignancy=0.1)]),
    "one lesion in two views": two_view_exam,
    "a radiologist who disagrees": discordant,
    "a tenth": lambda: replace(some_exam(), tenth=ReferenceTenth(ReferenceSet("ward", 412, False), 9)),
}
"""Exams whose reports have different sentences, numbers and codes."""


def report_on(exam: ExamReading, sources: dict[str, Dataset] | None = None, encoding: Encoding = ENCODING) -> Dataset:
    """The report as a receiver has it."""
    objects = encode_results(exam, sources or some_sources(), encoding)
    return dcmread(BytesIO(objects[-1].content))


def walk(item: Dataset) -> Iterator[Dataset]:
    """The content item and all below it."""
    yield item
    for child in item.get("ContentSequence", []):
        yield from walk(child)


def named(item: Dataset, code: str) -> list[Dataset]:
    return [
        found
        for found in walk(item)
        if "ConceptNameCodeSequence" in found and found.ConceptNameCodeSequence[0].CodeValue == code
    ]


def groups_of(report: Dataset) -> dict[str, Dataset]:
    """Measurement groups by their Tracking Identifier."""
    return {named(group, "112039")[0].TextValue: group for group in named(report, "125007")}


def number(group: Dataset, code: str) -> float:
    return float(named(group, code)[0].MeasuredValueSequence[0].NumericValue)


def value(group: Dataset, code: str) -> str:
    """The code that a coded item has for its value."""
    return str(named(group, code)[0].ConceptCodeSequence[0].CodeValue)


def comments_of(report: Dataset) -> list[str]:
    return [item.TextValue for item in named(report, "121106")]


def evidence(document: Dataset) -> set[str]:
    return {
        str(reference.ReferencedSOPInstanceUID)
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
