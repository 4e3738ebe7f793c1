"""The measurement groups of the report: one per lesion (TID 1410), one per breast and one for the exam (TID 1501).

The groups are adapted to OHIF 3.12: each number in a group that has a region becomes a line of its label, and a finding
site becomes a line with a bare code. So a lesion's group has one number, whose name identifies the lesion; its other
measurements are properties of the finding, and the finding site belongs to the number (TID 1419).
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
from dicom_io.results.labels import long_axis
from dicom_io.results.locations import location_of
from dicom_io.results.ties import ties_of
from models.types.birads import Likelihood, in_percent
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality
from models.types.reference import ReferenceTenth

_BREASTS = {Laterality.LEFT: "left breast", Laterality.RIGHT: "right breast"}
_PROPERTY = RelationshipTypeValues.HAS_PROPERTIES
_INFERRED = RelationshipTypeValues.INFERRED_FROM


def lesion_groups(
    exam: ExamReading, sources: Mapping[str, Dataset]
) -> Iterator[PlanarROIMeasurementsAndQualitativeEvaluations]:
    """Yields one group per lesion and image, the highest score first: viewers open a report at its first group.

    A group has the tracking UID of the lesion's segment in the SEG. It has one region, either an outline or a segment
    (TID 1410 rows 5 to 8). Here it is the outline: viewers (OHIF) fail on a group without one, and the segment can be
    found by the tracking UID.
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
    """Yields one group with the score per breast, then one with the exam's.

    With the profile's `draws_exam`, a group's region is a frame round the image that its score comes from: OHIF draws
    only groups with a region.
    """
    for breast in exam.breasts:
        images = [image for image in exam.images if image.laterality is breast.laterality]
        group = _score_group(breast.laterality, breast.malignancy, breast.likelihood, images, exam, encoding, sources)
        group[0].ContentSequence.extend(_image_regions(images, sources, encoding))
        yield group
    if exam.malignancy is not None:
        group = _score_group(None, exam.malignancy, exam.likelihood, exam.images, exam, encoding, sources, exam.tenth)
        group[0].ContentSequence.extend(_image_regions(exam.images, sources, encoding))
        yield group


def _lesion_group(image: ExamImage, number: int, source: Dataset) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    finding = image.reading.findings[number - 1]
    name = lesion_name(image, number)
    ring = outline(finding.mask)
    words = ", ".join((f"{number} {finding.kind.in_words}", *long_axis(image, number), "score"))
    site = _site(codes.LATERALITIES[image.laterality] if image.laterality else None)
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=name.uid, identifier=name.identifier),
        referenced_region=_region(ring, source),
        finding_type=codes.FINDINGS[finding.kind],
        algorithm_id=_algorithm(image, "lesions"),
        measurements=_score_and_probability(words, finding.malignancy, finding.likelihood, image, site),
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
    tenth: ReferenceTenth | None = None,
) -> MeasurementsAndQualitativeEvaluations:
    """The group of a breast, or of the exam (side None), whose score may be in a tenth of a reference set."""
    decisive = _decisive(images)
    name = _BREASTS[side] if side else "exam"
    study = sources[decisive.sop_instance_uid].StudyInstanceUID
    site = _site(_laterality(side, exam))
    measurements = _score_and_probability(f"{name}, score", score, likelihood, decisive, site, exam)
    if tenth is not None and tenth.tenth is not None:
        measurements.append(
            Measurement(own_codes.tenth_name(tenth), tenth.tenth, own_codes.TENTH_UNIT, finding_sites=[site])
        )
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=encoding.uid(study, "score", name), identifier=name),
        algorithm_id=_algorithm(decisive, "whole images"),
        measurements=measurements,
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
    lateralities = [codes.LATERALITIES[side] for side in sides(exam)]
    return codes.BOTH if len(lateralities) == 2 else next(iter(lateralities), None)


def _score_and_probability(
    name: str,
    score: float,
    likelihood: Likelihood | None,
    image: ExamImage,
    site: FindingSite,
    exam: ExamReading | None = None,
) -> list[Measurement]:
    """The score and, if it is calibrated, the probability with the prevalence that it holds for.

    Args:
        name: Code Meaning of the score: viewers print it and the number, nothing else.
        exam: the exam whose recall threshold is written beside the probability; None for a lesion, which has no
            threshold.
    """
    score_name = Code(own_codes.MALIGNANCY_SCORE.value, own_codes.DESIGNATOR, name)
    measurements = [Measurement(score_name, round(float(score), 2), own_codes.SCORE_UNIT, finding_sites=[site])]
    if likelihood:
        limit = [exam.recall_threshold] if exam else []
        probability = float(in_percent(likelihood.probability, *limit))
        percentage = Measurement(codes.PROBABILITY_OF_CANCER, probability, codes.PERCENT, finding_sites=[site])
        shares = [(own_codes.PREVALENCE, image.reading.prevalence)]
        shares += [(own_codes.RECALL_THRESHOLD, threshold) for threshold in limit]
        for concept, share in shares:
            if share is not None:
                stated = _number(concept, float(in_percent(share, share)), codes.PERCENT, _INFERRED)
                percentage[0].ContentSequence.append(stated)
        measurements.append(percentage)
    return measurements


def _verdict(
    likelihood: Likelihood, side: Laterality | None, recall_threshold: float, encoding: Encoding
) -> list[QualitativeEvaluation]:
    """Whether a probability is above the recall threshold, and which category's range it is in; the category itself
    only if the site asks for it (safety rule 3)."""
    recalled = own_codes.RECALLED[likelihood.is_recalled(recall_threshold)]
    evaluations = [
        QualitativeEvaluation(own_codes.RECALL, recalled),
        QualitativeEvaluation(own_codes.CATEGORY_RANGE, own_codes.range_of(likelihood.category, side)),
    ]
    if encoding.coded_category:
        category = own_codes.CODED_CATEGORIES[likelihood.category]
        evaluations.append(QualitativeEvaluation(birads_codes.ASSESSMENT_CATEGORY, category))
    return evaluations


def _number(name: Code, value: float, unit: Code, relation: RelationshipTypeValues) -> NumContentItem:
    return NumContentItem(name, value, unit, relationship_type=relation)


def _region(xy: NDArray[np.float64], source: Dataset) -> ImageRegion:
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=xy,
        source_image=SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )


def _algorithm(image: ExamImage, of: str) -> AlgorithmIdentification:
    """`of`: what is scored. Different models score lesions and whole images; their scores are not comparable."""
    bundle = image.reading.bundle
    name = f"{bundle.name}, score of {of}"
    return AlgorithmIdentification(name=name, version=bundle.version, family=codes.ARTIFICIAL_INTELLIGENCE)


def _site(laterality: Code | None) -> FindingSite:
    return FindingSite(anatomic_location=codes.BREAST, laterality=laterality)
