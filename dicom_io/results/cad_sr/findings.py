"""The findings of a Mammography CAD SR: one Individual Impression (TID 4003) per lesion."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from highdicom.sr import GraphicTypeValues
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.results import codes
from dicom_io.results.cad_sr.composites import Composite, composites, masses_of
from dicom_io.results.cad_sr.items import (
    Part,
    Relation,
    algorithm,
    code_item,
    container_item,
    percent,
    scoord_item,
    text_item,
    uidref_item,
)
from dicom_io.results.cad_sr.library import ImageLibrary
from dicom_io.results.encoding import lesion_name
from dicom_io.results.geometry import outline, to_xy
from models.types.birads import in_percent
from models.types.exam import ExamImage, ExamReading, FindingId
from models.types.reading import FindingKind
from models.types.region import Mask


def impressions(exam: ExamReading, library: ImageLibrary) -> Iterator[Dataset]:
    """Yields first the lesions of several findings (views; a mass and the calcifications in it), then those of one
    finding in the order of the reading. Each finding occurs once."""
    several = composites(exam.ties, masses_of(exam.images))
    tied = {finding for composite in several for finding in composite.findings}
    for composite in several:
        yield _impression(_composite_feature(composite, exam, library))
    for image in exam.images:
        for number in range(1, len(image.reading.findings) + 1):
            if FindingId(image.sop_instance_uid, number) not in tied:
                yield _impression(_single_image_finding(image, number, library, Relation.CONTAINS))


def _impression(feature: Dataset) -> Dataset:
    return container_item(codes.INDIVIDUAL_IMPRESSION, Relation.INFERRED_FROM, [_to_be_shown(), feature])


def _composite_feature(composite: Composite, exam: ExamReading, library: ImageLibrary) -> Dataset:
    """TID 4004: findings of one lesion; where they are of several views, with the certainty that they are one. It has
    no probability of cancer."""
    images = {image.sop_instance_uid: image for image in exam.images}
    readings = [images[finding.sop_instance_uid].reading for finding in composite.findings]
    kinds = [
        reading.findings[finding.number - 1].kind for reading, finding in zip(readings, composite.findings, strict=True)
    ]
    calcified = FindingKind.MASS_WITH_CALCIFICATIONS
    certain = (
        [] if composite.certainty is None else [percent(codes.CERTAINTY_OF_FEATURE, round(100 * composite.certainty))]
    )
    return code_item(
        codes.COMPOSITE_FEATURE,
        Relation.CONTAINS,
        codes.FINDINGS[calcified if calcified in kinds else kinds[0]],
        [
            _to_be_shown(),
            code_item(codes.COMPOSITE_TYPE, Relation.HAS_PROPERTIES, codes.RELATED_SPATIALLY),
            code_item(codes.SCOPE_OF_FEATURE, Relation.HAS_PROPERTIES, _scope(composite, exam)),
            *algorithm(readings[0].bundle, Part.DETECTION if composite.certainty is None else Part.TWO_VIEWS),
            *certain,
            *(
                _single_image_finding(images[finding.sop_instance_uid], finding.number, library, Relation.INFERRED_FROM)
                for finding in composite.findings
            ),
        ],
    )


def _scope(composite: Composite, exam: ExamReading) -> Code:
    if len({finding.sop_instance_uid for finding in composite.findings}) > 1:
        return codes.ON_MULTIPLE_IMAGES
    return codes.ON_ONE_OF_THE_IMAGES if len(exam.images) > 1 else codes.ON_THE_ONLY_IMAGE


def _single_image_finding(image: ExamImage, number: int, library: ImageLibrary, relation: Relation) -> Dataset:
    """TID 4006. The probability of cancer is written only if it is calibrated: a score is not a probability."""
    finding = image.reading.findings[number - 1]
    name = lesion_name(image, number)
    content = [
        _to_be_shown(),
        text_item(codes.TRACKING_IDENTIFIER, Relation.HAS_OBS_CONTEXT, name.identifier),
        uidref_item(codes.TRACKING_UID, Relation.HAS_OBS_CONTEXT, name.uid),
        *algorithm(image.reading.bundle, Part.DETECTION),
        percent(codes.CERTAINTY_OF_FINDING, round(100 * finding.confidence)),
    ]
    if finding.likelihood is not None:
        content.append(percent(codes.PROBABILITY_OF_CANCER, float(in_percent(finding.likelihood.probability))))
    where = library.refer(Relation.SELECTED_FROM, image.sop_instance_uid)
    content += [
        scoord_item(codes.CENTER, GraphicTypeValues.POINT, to_xy(_centre(finding.mask)), where),
        scoord_item(codes.OUTLINE, GraphicTypeValues.POLYLINE, outline(finding.mask), where),
    ]
    return code_item(codes.SINGLE_IMAGE_FINDING, relation, codes.SINGLE_IMAGE_FINDINGS[finding.kind], content)


def _centre(mask: Mask) -> NDArray[np.float64]:
    """The centre of mass of a mask as row, column (1 × 2)."""
    rows, columns = np.nonzero(mask.crop)
    return np.array([[mask.box.top + rows.mean(), mask.box.left + columns.mean()]])


def _to_be_shown() -> Dataset:
    return code_item(codes.RENDERING_INTENT, Relation.HAS_CONCEPT_MOD, codes.PRESENTATION_REQUIRED)
