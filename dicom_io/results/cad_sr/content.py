"""The content tree of a Mammography CAD SR: TID 4000 (PS3.16), top down; PS3.17 Annex E has examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.results import codes, own_codes
from dicom_io.results.birads_codes import ASSESSMENT_CATEGORY, CODES
from dicom_io.results.cad_sr.findings import impressions
from dicom_io.results.cad_sr.items import Part, Relation, algorithm, coded, container, words
from dicom_io.results.cad_sr.library import ImageLibrary
from dicom_io.results.cad_sr.performed import summary_of_analyses, summary_of_detections
from dicom_io.results.encoding import Encoding, sides
from dicom_io.results.statements import measured_sentences, statements
from models.types.exam import ExamReading

LIBRARY_POSITION = (1, 2)
"""Of the Image Library: the root's second item."""


def cad_report(exam: ExamReading, library: ImageLibrary, encoding: Encoding) -> Dataset:
    """The root container."""
    bundle = encoding.bundles[0]
    template = Dataset()
    template.MappingResource = "DCMR"
    template.TemplateIdentifier = "4000"
    root = container(
        codes.MAMMOGRAPHY_CAD_REPORT,
        None,
        [
            coded(codes.LANGUAGE, Relation.HAS_CONCEPT_MOD, codes.ENGLISH),
            library.content(),
            _overall_impression(exam, library, encoding),
            summary_of_detections(exam, library, bundle),
            summary_of_analyses(exam, library, bundle),
        ],
    )
    root.ContentTemplateSequence = [template]
    return root


def _overall_impression(exam: ExamReading, library: ImageLibrary, encoding: Encoding) -> Dataset:
    """TID 4001: what became of the reading, the exam as a whole, and each lesion."""
    within = [*_impression_body(exam, encoding), *impressions(exam, library)]
    return coded(codes.CAD_SUMMARY, Relation.CONTAINS, _outcome(exam, library), within)


def _outcome(exam: ExamReading, library: ImageLibrary) -> Code:
    if not exam.images:
        return codes.NO_ALGORITHM_SUCCEEDED
    return codes.CAD_SUMMARIES[not library.unread, any(image.reading.findings for image in exam.images)]


def _impression_body(exam: ExamReading, encoding: Encoding) -> Iterator[Dataset]:
    """TID 4002: on which side of the recall threshold the exam lies and in which category's range; in words all that is
    to say. The category itself only where the site asks for it and it has a code (safety rule 3).

    The exam's alone: PixelMed takes a second category, of a breast, for an error, though PS3.16 allows several.
    """
    if (likelihood := exam.likelihood) is not None:
        if encoding.coded_category and likelihood.category in CODES:
            yield coded(ASSESSMENT_CATEGORY, Relation.HAS_PROPERTIES, CODES[likelihood.category], _sides(exam))
        recalled = own_codes.RECALLED[likelihood.is_recalled(exam.recall_threshold)]
        yield coded(own_codes.RECALL, Relation.HAS_PROPERTIES, recalled, _sides(exam))
        held = own_codes.range_of(likelihood.category, None)
        yield coded(own_codes.CATEGORY_RANGE, Relation.HAS_PROPERTIES, held, _sides(exam))
    bundle = encoding.bundles[0]
    # Without the radiologist's assessments: this object does not change when one is received.
    measured = set(measured_sentences(exam))  # it holds no lengths
    told = (o.sentence for o in statements(replace(exam, concordances=()), bundle) if o.sentence not in measured)
    yield words(codes.IMPRESSION_DESCRIPTION, Relation.HAS_PROPERTIES, "\r\n".join(told))
    yield from algorithm(bundle, Part.WHOLE_IMAGES)


def _sides(exam: ExamReading) -> Iterator[Dataset]:
    if told := sides(exam):
        value = codes.BOTH_BREASTS if len(told) > 1 else codes.BREASTS[told[0]]
        yield coded(codes.LATERALITY, Relation.HAS_CONCEPT_MOD, value)
