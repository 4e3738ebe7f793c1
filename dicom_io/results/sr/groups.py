"""The measurement groups of our report: a lesion each (TID 1410), a breast each and the exam (TID 1501)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
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
from dicom_io.results.locations import location_of
from dicom_io.results.ties import ties_of
from models.types import ExamReading, Laterality, Likelihood, ReadImage

_BREASTS = {Laterality.LEFT: "left breast", Laterality.RIGHT: "right breast"}


def lesion_groups(
    exam: ExamReading, sources: Mapping[str, Dataset]
) -> Iterator[PlanarROIMeasurementsAndQualitativeEvaluations]:
    """A group for each lesion in each image, its tracking UID being that of its segment in the SEG.

    A group holds one region, either an outline or a segment (TID 1410 rows 5 to 8). It is the outline: viewers (OHIF)
    fail on a group without one, and the tracking UID leads to the segment.
    """
    for image in exam.images:
        for number in range(1, len(image.reading.findings) + 1):
            group = _lesion_group(image, number, sources[image.sop_instance_uid])
            doubt = image.reading.findings[number - 1].doubt
            said = (*([doubt] if doubt else []), *location_of(exam, image, number), *ties_of(exam, image, number))
            for sentence in said:
                group[0].ContentSequence.append(
                    TextContentItem(codes.COMMENT, sentence, relationship_type=RelationshipTypeValues.CONTAINS)
                )
            yield group


def score_groups(
    exam: ExamReading, sources: Mapping[str, Dataset], encoding: Encoding
) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    """A group with the score of each breast, then one with the exam's."""
    for breast in exam.breasts:
        images = [image for image in exam.images if image.laterality is breast.laterality]
        laterality = codes.LATERALITIES[breast.laterality]
        name = _BREASTS[breast.laterality]
        yield _score_group(name, laterality, breast.malignancy, breast.likelihood, images, sources, encoding)
    if exam.malignancy is not None:
        lateralities = [codes.LATERALITIES[side] for side in sides(exam)]
        both = codes.BOTH if len(lateralities) == 2 else next(iter(lateralities), None)
        yield _score_group("exam", both, exam.malignancy, exam.likelihood, exam.images, sources, encoding)


def _lesion_group(image: ReadImage, number: int, source: Dataset) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    finding = image.reading.findings[number - 1]
    name = lesion_name(image, number)
    ring = outline(finding.mask)
    measurements = _worth(finding.malignancy, finding.likelihood, image)
    measurements.append(Measurement(codes.CERTAINTY_OF_FINDING, _percent(finding.confidence), codes.PERCENT))
    if image.reading.spacing_mm:
        extent = round(longest_extent_mm(ring, image.reading.spacing_mm), 1)
        measurements.append(Measurement(codes.LONG_AXIS, extent, codes.MILLIMETRE))
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=name.uid, identifier=name.identifier),
        referenced_region=_region(ring, source),
        finding_type=codes.FINDINGS[finding.kind],
        finding_sites=[_site(codes.LATERALITIES[image.laterality] if image.laterality else None)],
        algorithm_id=_algorithm(image, "lesions"),
        measurements=measurements,
        qualitative_evaluations=_implied(finding.likelihood),
    )


def _score_group(
    name: str,
    laterality: Code | None,
    score: float,
    likelihood: Likelihood | None,
    images: Sequence[ReadImage],
    sources: Mapping[str, Dataset],
    encoding: Encoding,
) -> MeasurementsAndQualitativeEvaluations:
    """The score, and the image that it comes from framed as a whole: OHIF fails on a group without a place."""
    decisive = max(images, key=lambda image: image.reading.malignancy)
    source = sources[decisive.sop_instance_uid]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=encoding.uid(source.StudyInstanceUID, "score", name), identifier=name
        ),
        finding_sites=[_site(laterality)],
        algorithm_id=_algorithm(decisive, "whole images"),
        measurements=_worth(score, likelihood, decisive),
        qualitative_evaluations=_implied(likelihood),
    )
    group[0].ContentSequence.append(_region(frame(decisive.reading.shape), source))
    return group


def _worth(score: float, likelihood: Likelihood | None, image: ReadImage) -> list[Measurement]:
    """The score and, where it is calibrated, the probability with the prevalence that it holds for.

    Viewers (OHIF) print them in this order and pass over a number that has items of its own.
    """
    worth = [Measurement(own_codes.MALIGNANCY_SCORE, round(float(score), 4), own_codes.SCORE_UNIT)]
    if likelihood:
        worth.insert(0, Measurement(codes.PROBABILITY_OF_CANCER, _percent(likelihood.probability), codes.PERCENT))
        if image.reading.prevalence is not None:
            worth.append(Measurement(own_codes.PREVALENCE, _percent(image.reading.prevalence), codes.PERCENT))
    return worth


def _implied(likelihood: Likelihood | None) -> list[QualitativeEvaluation]:
    if likelihood is None:
        return []
    category = own_codes.IMPLIED_CATEGORIES[likelihood.category]
    return [QualitativeEvaluation(birads_codes.ASSESSMENT_CATEGORY, category)]


def _region(xy: NDArray[np.float64], source: Dataset) -> ImageRegion:
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=xy,
        source_image=SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )


def _algorithm(image: ReadImage, of: str) -> AlgorithmIdentification:
    """`of`: what it scores; lesions and whole images are scored by different models, whose scores do not compare."""
    bundle = image.reading.bundle
    name = f"{bundle.name}, score of {of}"
    return AlgorithmIdentification(name=name, version=bundle.version, family=codes.ARTIFICIAL_INTELLIGENCE)


def _site(laterality: Code | None) -> FindingSite:
    return FindingSite(anatomic_location=codes.BREAST, laterality=laterality)


def _percent(fraction: float) -> float:
    return round(100 * float(fraction), 4)
