"""The measurement groups of the report: one per lesion (TID 1410), one per breast and one for the exam (TID 1501).

The groups are adapted to OHIF 3.12: each number in a group that has a region becomes a line of its label, and a finding
site becomes a line with a bare code. So a lesion's group has one number, whose name identifies the lesion; its other
measurements are properties of the finding, and the finding site belongs to the number (TID 1419).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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

from dicom_io.results import codes
from dicom_io.results.encoding import Encoding
from dicom_io.results.geometry import frame, outline
from dicom_io.results.language import Language
from dicom_io.results.scored import Figure, Scored, ScoredLesion, scored_lesions, scored_wholes
from models.types.exam import ExamReading

_PROPERTY = RelationshipTypeValues.HAS_PROPERTIES
_INFERRED = RelationshipTypeValues.INFERRED_FROM


def lesion_groups(
    exam: ExamReading, sources: Mapping[str, Dataset], language: Language
) -> Iterator[PlanarROIMeasurementsAndQualitativeEvaluations]:
    """Yields one group per lesion and image, the highest score first.

    A group has the tracking UID of the lesion's segment in the SEG. It has one region, either an outline or a segment
    (TID 1410 rows 5 to 8). Here it is the outline: viewers (OHIF) fail on a group without one, and the segment can be
    found by the tracking UID.
    """
    for lesion in scored_lesions(exam):
        group = _lesion_group(lesion, sources[lesion.scored.image.sop_instance_uid])
        for sentence in map(language.say, lesion.sentences):
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
    for scored in scored_wholes(exam, coded_category=encoding.coded_category):
        source = sources[scored.image.sop_instance_uid]
        group = _score_group(scored, source, encoding)
        if encoding.profile.draws_exam:
            group[0].ContentSequence.append(_region(frame(scored.image.reading.shape), source))
        yield group


def _lesion_group(lesion: ScoredLesion, source: Dataset) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    scored = lesion.scored
    finding = scored.image.reading.findings[lesion.number - 1]
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=lesion.tracked.uid, identifier=lesion.tracked.identifier),
        referenced_region=_region(outline(finding.mask), source),
        finding_type=lesion.found.value,
        algorithm_id=_algorithm(scored),
        measurements=_measurements(scored),
    )
    (found,) = (item for item in group[0].ContentSequence if item.name == codes.FINDING)
    found.ContentSequence = ContentSequence([_number(figure, _PROPERTY) for figure in lesion.properties])
    return group


def _score_group(scored: Scored, source: Dataset, encoding: Encoding) -> MeasurementsAndQualitativeEvaluations:
    """The group of a breast or of the exam."""
    uid = encoding.uid(source.StudyInstanceUID, "score", scored.name)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid, identifier=scored.name),
        algorithm_id=_algorithm(scored),
        measurements=_measurements(scored),
        qualitative_evaluations=[QualitativeEvaluation(said.concept, said.value) for said in scored.verdict],
    )


def _measurements(scored: Scored) -> list[Measurement]:
    """The score; if it is calibrated, the probability with what it holds for; and the tenth, if there is one."""
    site = FindingSite(anatomic_location=codes.BREAST, laterality=scored.laterality)
    measurements = [_measurement(scored.score, site)]
    if scored.probability is not None:
        probability = _measurement(scored.probability, site)
        for figure in scored.holds_for:
            probability[0].ContentSequence.append(_number(figure, _INFERRED))
        measurements.append(probability)
    if scored.tenth is not None:
        measurements.append(_measurement(scored.tenth, site))
    return measurements


def _measurement(figure: Figure, site: FindingSite) -> Measurement:
    return Measurement(figure.concept, figure.value, figure.unit, finding_sites=[site])


def _number(figure: Figure, relation: RelationshipTypeValues) -> ContentItem:
    return NumContentItem(figure.concept, figure.value, figure.unit, relationship_type=relation)


def _region(xy: NDArray[np.float64], source: Dataset) -> ImageRegion:
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=xy,
        source_image=SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )


def _algorithm(scored: Scored) -> AlgorithmIdentification:
    return AlgorithmIdentification(name=scored.algorithm, version=scored.version, family=codes.ARTIFICIAL_INTELLIGENCE)
