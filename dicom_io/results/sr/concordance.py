"""The radiologist's categories in the report, quoted and compared with the probabilities (TID 1500 row 13)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from highdicom.sr import (
    CodeContentItem,
    CompositeContentItem,
    ContentItem,
    ContentSequence,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.results import birads_codes, codes, own_codes
from models.types.birads import Assessment, Concordance, in_percent
from models.types.exam import ExamReading

_CONCEPT = RelationshipTypeValues.HAS_CONCEPT_MOD
_CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT
_INFERRED = RelationshipTypeValues.INFERRED_FROM


def concordance_items(exam: ExamReading, sources: Mapping[str, Dataset]) -> Iterator[CodeContentItem]:
    """Yields one evaluation per assessment: whether both recall, inferred from the category and the probability.

    Args:
        sources: the header of each instance of the study, by SOP Instance UID. If the quoted document is one of them,
            the evaluation refers to it.
    """
    for concordance in exam.concordances:
        item = CodeContentItem(
            own_codes.CONCORDANCE, own_codes.AGREEMENTS[concordance.agreement], RelationshipTypeValues.CONTAINS
        )
        item.ContentSequence = ContentSequence(list(_inferred_from(concordance, sources, exam.recall_threshold)))
        yield item


def _inferred_from(
    concordance: Concordance, sources: Mapping[str, Dataset], recall_threshold: float
) -> Iterator[ContentItem]:
    if concordance.laterality:
        yield CodeContentItem(codes.LATERALITY, codes.LATERALITIES[concordance.laterality], _CONCEPT)
    quoted = birads_codes.CODES[concordance.assessment.category]
    assigned = CodeContentItem(own_codes.QUOTED_CATEGORY, quoted, _INFERRED)
    assigned.ContentSequence = ContentSequence(list(_quotation(concordance.assessment, sources)))
    yield assigned
    if concordance.likelihood is None:
        return
    probability = in_percent(concordance.likelihood.probability, recall_threshold)
    yield _percent(codes.PROBABILITY_OF_CANCER, probability)
    if concordance.points_away is not None:
        yield _percent(own_codes.POINTS_AWAY, concordance.points_away)


def _percent(name: Code, value: Decimal) -> NumContentItem:
    return NumContentItem(name, float(value), codes.PERCENT, relationship_type=_INFERRED)


def _quotation(assessment: Assessment, sources: Mapping[str, Dataset]) -> Iterator[ContentItem]:
    """The source of the quotation; also TID 1000, if the quoted document is an object of the study."""
    yield TextContentItem(own_codes.QUOTED_FROM, assessment.source, _CONTEXT)
    document = sources.get(assessment.sop_instance_uid or "")
    if document is not None:
        yield CodeContentItem(codes.QUOTATION_MODE, codes.DOCUMENT, _CONTEXT)
        yield CompositeContentItem(
            codes.QUOTED_SOURCE, document.SOPClassUID, document.SOPInstanceUID, relationship_type=_CONTEXT
        )
