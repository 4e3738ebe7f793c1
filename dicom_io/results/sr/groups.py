"""The measurement groups of our report: a lesion each (TID 1410), a breast each and the exam (TID 1501).

Made for what viewers draw (OHIF 3.12): each number that stands in a group on a place in an image becomes a line of its
label, and a finding site a line with a bare code. So a lesion's group holds one number whose name says which lesion it
is, its other measurements are properties of the finding, and the site stands with the number (TID 1419).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    ContentItem,
    ContentSequence,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.results import birads_codes, codes, own_codes
from dicom_io.results.encoding import Encoding, lesion_name, sides
from dicom_io.results.geometry import frame, longest_extent_mm, outline
from dicom_io.results.labels import KINDS, long_axis
from dicom_io.results.locations import location_of
from dicom_io.results.ties import ties_of
from models.types.birads import Likelihood, in_percent
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality

_BREASTS = {Laterality.LEFT: "left breast", Laterality.RIGHT: "right breast"}
_PROPERTY = RelationshipTypeValues.HAS_PROPERTIES
_INFERRED = RelationshipTypeValues.INFERRED_FROM


def lesion_groups(
    exam: ExamReading, sources: Mapping[str, Dataset]
) -> Iterator[PlanarROIMeasurementsAndQualitativeEvaluations]:
    """A group for each lesion in each image, the highest score first: viewers open a report at its first group.

    Its tracking UID is that of its segment in the SEG. A group holds one region, either an outline or a segment (TID
    1410 rows 5 to 8). It is the outline: viewers (OHIF) fail on a group without one, and the tracking UID leads to the
    segment.
    """
    lesions = [(image, number) for image in exam.images for number in range(1, len(image.reading.findings) + 1)]
    for image, number in sorted(lesions, key=lambda entry: -entry[0].reading.findings[entry[1] - 1].malignancy):
        group = _lesion_group(image, number, sources[image.sop_instance_uid])
        doubt = image.reading.findings[number - 1].doubt
        sentences = (*([doubt] if doubt else []), *location_of(exam, image, number), *ties_of(exam, image, number))
        for sentence in sentences:
            group[0].ContentSequence.append(
                TextContentItem(codes.COMMENT, sentence, relationship_type=RelationshipTypeValues.CONTAINS)
            )
        yield group


def score_groups(
    exam: ExamReading, sources: Mapping[str, Dataset], encoding: Encoding
) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    """A group with the score of each breast, then one with the exam's.

    Where the profile has them drawn, the image that a score comes from is framed as a whole: OHIF draws nothing else.
    """
    for breast in exam.breasts:
        images = [image for image in exam.images if image.laterality is breast.laterality]
        group = _score_group(breast.laterality, breast.malignancy, breast.likelihood, images, exam, encoding, sources)
        group[0].ContentSequence.extend(_image_regions(images, sources, encoding))
        yield group
    if exam.malignancy is not None:
        group = _score_group(None, exam.malignancy, exam.likelihood, exam.images, exam, encoding, sources)
        group[0].ContentSequence.extend(_image_regions(exam.images, sources, encoding))
        yield group


def _lesion_group(image: ExamImage, number: int, source: Dataset) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    finding = image.reading.findings[number - 1]
    name = lesion_name(image, number)
    ring = outline(finding.mask)
    words = ", ".join((f"{number} {KINDS[finding.kind]}", *long_axis(image, number), "score"))
    site = _site(codes.LATERALITIES[image.laterality] if image.laterality else None)
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=name.uid, identifier=name.identifier),
        referenced_region=_region(ring, source),
        finding_type=codes.FINDINGS[finding.kind],
        algorithm_id=_algorithm(image, "lesions"),
        measurements=_worth(words, finding.malignancy, finding.likelihood, image, site),
    )
    properties = [_number(codes.CERTAINTY_OF_FINDING, round(100 * float(finding.confidence)), codes.PERCENT, _PROPERTY)]
    if image.reading.spacing_mm:
        extent = round(longest_extent_mm(ring, image.reading.spacing_mm), 1)
        properties.append(_number(codes.LONG_AXIS, extent, codes.MILLIMETRE, _PROPERTY))
    (found,) = (item for item in group[0].ContentSequence if item.name == codes.FINDING)
    found.ContentSequence = ContentSequence(properties)
    return group


def _score_group(
    side: Laterality | None,
    score: float,
    likelihood: Likelihood | None,
    images: Sequence[ExamImage],
    exam: ExamReading,
    encoding: Encoding,
    sources: Mapping[str, Dataset],
) -> MeasurementsAndQualitativeEvaluations:
    """Of a breast, or (side None) the exam."""
    decisive = _decisive(images)
    name = _BREASTS[side] if side else "exam"
    study = sources[decisive.sop_instance_uid].StudyInstanceUID
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=encoding.uid(study, "score", name), identifier=name),
        algorithm_id=_algorithm(decisive, "whole images"),
        measurements=_worth(f"{name}, score", score, likelihood, decisive, _site(_laterality(side, exam)), exam),
        qualitative_evaluations=_verdict(likelihood, side, exam.recall_threshold, encoding) if likelihood else [],
    )


def _decisive(images: Sequence[ExamImage]) -> ExamImage:
    return max(images, key=lambda image: image.reading.malignancy)


def _image_regions(
    images: Sequence[ExamImage], sources: Mapping[str, Dataset], encoding: Encoding
) -> list[ContentItem]:
    if not encoding.profile.draws_exam:
        return []
    decisive = _decisive(images)
    return [_region(frame(decisive.reading.shape), sources[decisive.sop_instance_uid])]


def _laterality(side: Laterality | None, exam: ExamReading) -> Code | None:
    if side:
        return codes.LATERALITIES[side]
    told = [codes.LATERALITIES[side] for side in sides(exam)]
    return codes.BOTH if len(told) == 2 else next(iter(told), None)


def _worth(
    name: str,
    score: float,
    likelihood: Likelihood | None,
    image: ExamImage,
    site: FindingSite,
    exam: ExamReading | None = None,
) -> list[Measurement]:
    """The score and, where it is calibrated, the probability with the prevalence that it holds for.

    Args:
        name: what the score's is called beside its code: viewers print it with the number, and nothing else.
        exam: whose recall threshold the probability is held against; None: of a lesion, which has none.
    """
    called = Code(own_codes.MALIGNANCY_SCORE.value, own_codes.DESIGNATOR, name)
    worth = [Measurement(called, round(float(score), 2), own_codes.SCORE_UNIT, finding_sites=[site])]
    if likelihood:
        limit = [exam.recall_threshold] if exam else []
        probability = float(in_percent(likelihood.probability, *limit))
        measured = Measurement(codes.PROBABILITY_OF_CANCER, probability, codes.PERCENT, finding_sites=[site])
        shares = [(own_codes.PREVALENCE, image.reading.prevalence)]
        shares += [(own_codes.RECALL_THRESHOLD, threshold) for threshold in limit]
        for concept, share in shares:
            if share is not None:
                stated = _number(concept, float(in_percent(share, share)), codes.PERCENT, _INFERRED)
                measured[0].ContentSequence.append(stated)
        worth.append(measured)
    return worth


def _verdict(
    likelihood: Likelihood, side: Laterality | None, recall_threshold: float, encoding: Encoding
) -> list[QualitativeEvaluation]:
    """What a probability says: on which side of the threshold it lies, and in which category's range; the category
    itself only where the site asks for it (safety rule 3)."""
    recalled = own_codes.RECALLED[likelihood.is_recalled(recall_threshold)]
    told = [
        QualitativeEvaluation(own_codes.RECALL, recalled),
        QualitativeEvaluation(own_codes.CATEGORY_RANGE, own_codes.range_of(likelihood.category, side)),
    ]
    if encoding.coded_category:
        category = own_codes.CODED_CATEGORIES[likelihood.category]
        told.append(QualitativeEvaluation(birads_codes.ASSESSMENT_CATEGORY, category))
    return told


def _number(name: Code, value: float, unit: Code, relation: RelationshipTypeValues) -> NumContentItem:
    return NumContentItem(name, value, unit, relationship_type=relation)


def _region(xy: NDArray[np.float64], source: Dataset) -> ImageRegion:
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=xy,
        source_image=SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )


def _algorithm(image: ExamImage, of: str) -> AlgorithmIdentification:
    """`of`: what it scores; lesions and whole images are scored by different models, whose scores do not compare."""
    bundle = image.reading.bundle
    name = f"{bundle.name}, score of {of}"
    return AlgorithmIdentification(name=name, version=bundle.version, family=codes.ARTIFICIAL_INTELLIGENCE)


def _site(laterality: Code | None) -> FindingSite:
    return FindingSite(anatomic_location=codes.BREAST, laterality=laterality)
