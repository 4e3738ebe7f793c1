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
    SourceImageForRegion,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.results import codes
from dicom_io.results.encoding import Encoding, lesion_name
from dicom_io.results.geometry import frame, outline
from models.types import ExamReading, Laterality, ReadImage

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
            yield _lesion_group(image, number, sources[image.sop_instance_uid])


def score_groups(
    exam: ExamReading, sources: Mapping[str, Dataset], encoding: Encoding
) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    """A group with the score of each breast, then one with the exam's."""
    for breast in exam.breasts:
        images = [image for image in exam.images if image.laterality is breast.laterality]
        laterality = codes.LATERALITIES[breast.laterality]
        name = _BREASTS[breast.laterality]
        yield _score_group(name, laterality, breast.malignancy, _highest(images), sources, encoding)
    if exam.malignancy is not None:
        lateralities = [codes.LATERALITIES[breast.laterality] for breast in exam.breasts]
        both = codes.BOTH if len(lateralities) == 2 else next(iter(lateralities), None)
        yield _score_group("exam", both, exam.malignancy, _highest(exam.images), sources, encoding)


def _lesion_group(image: ReadImage, number: int, source: Dataset) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    finding = image.reading.findings[number - 1]
    name = lesion_name(image, number)
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=name.uid, identifier=name.identifier),
        referenced_region=_region(outline(finding.mask), source),
        finding_type=codes.FINDINGS[finding.kind],
        finding_sites=[_site(codes.LATERALITIES[image.laterality] if image.laterality else None)],
        algorithm_id=_algorithm(image, "lesions"),
        measurements=[
            Measurement(codes.PROBABILITY_OF_CANCER, _percent(finding.malignancy), codes.PERCENT),
            Measurement(codes.CERTAINTY_OF_FINDING, _percent(finding.confidence), codes.PERCENT),
        ],
    )


def _score_group(
    name: str,
    laterality: Code | None,
    score: float,
    decisive: ReadImage,
    sources: Mapping[str, Dataset],
    encoding: Encoding,
) -> MeasurementsAndQualitativeEvaluations:
    """The score, and the image that it comes from framed as a whole: OHIF fails on a group without a place."""
    source = sources[decisive.sop_instance_uid]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=encoding.uid(source.StudyInstanceUID, "score", name), identifier=name
        ),
        finding_sites=[_site(laterality)],
        algorithm_id=_algorithm(decisive, "whole images"),
        measurements=[Measurement(codes.PROBABILITY_OF_CANCER, _percent(score), codes.PERCENT)],
    )
    group[0].ContentSequence.append(_region(frame(decisive.reading.shape), source))
    return group


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


def _highest(images: Sequence[ReadImage]) -> ReadImage:
    return max(images, key=lambda image: image.reading.malignancy)


def _site(laterality: Code | None) -> FindingSite:
    return FindingSite(anatomic_location=codes.BREAST, laterality=laterality)


def _percent(fraction: float) -> float:
    return round(100 * float(fraction), 2)
