"""The content tree of a Mammography CAD SR: TID 4000 (PS3.16). PS3.17 Annex E has examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.results import codes, own_codes
from dicom_io.results.birads_codes import ASSESSMENT_CATEGORY, CODES
from dicom_io.results.cad_sr.findings import impressions
from dicom_io.results.cad_sr.items import Part, Relation, algorithm, code_item, container_item, num_item, text_item
from dicom_io.results.cad_sr.library import ImageLibrary
from dicom_io.results.cad_sr.performed import summary_of_analyses, summary_of_detections
from dicom_io.results.encoding import Encoding, sides
from dicom_io.results.statements import measured_sentences, statements
from models.types.exam import ExamReading

LIBRARY_POSITION = (1, 2)
"""The position of the Image Library in the content tree: the root's second item."""


def cad_report(exam: ExamReading, library: ImageLibrary, encoding: Encoding) -> Dataset:
    """The root content item (CONTAINER)."""
    bundle = encoding.bundles[0]
    template = Dataset()
    template.MappingResource = "DCMR"
    template.TemplateIdentifier = "4000"
    root = container_item(
        codes.MAMMOGRAPHY_CAD_REPORT,
        None,
        [
            code_item(codes.LANGUAGE, Relation.HAS_CONCEPT_MOD, codes.ENGLISH),
            library.content(),
            _overall_impression(exam, library, encoding),
            summary_of_detections(exam, library, bundle),
            summary_of_analyses(exam, library, bundle),
        ],
    )
    root.ContentTemplateSequence = [template]
    return root


def _overall_impression(exam: ExamReading, library: ImageLibrary, encoding: Encoding) -> Dataset:
    """TID 4001: the outcome of the reading, the exam as a whole, and each lesion."""
    within = [*_impression_body(exam, encoding), *impressions(exam, library)]
    return code_item(codes.CAD_SUMMARY, Relation.CONTAINS, _outcome(exam, library), within)


def _outcome(exam: ExamReading, library: ImageLibrary) -> Code:
    if not exam.images:
        return codes.NO_ALGORITHM_SUCCEEDED
    return codes.CAD_SUMMARIES[not library.unread, any(image.reading.findings for image in exam.images)]


def _impression_body(exam: ExamReading, encoding: Encoding) -> Iterator[Dataset]:
    """TID 4002: whether the exam is above the recall threshold, which category's range its probability is in, the tenth
    of a reference set that its score is in, and all sentences of the report. The category itself only if the site asks
    for it and it has a code (safety rule 3).

    Only for the exam: PixelMed reports a second category, of a breast, as an error, although PS3.16 allows several.
    """
    if (likelihood := exam.likelihood) is not None:
        if encoding.coded_category and likelihood.category in CODES:
            yield code_item(ASSESSMENT_CATEGORY, Relation.HAS_PROPERTIES, CODES[likelihood.category], _sides(exam))
        recalled = own_codes.RECALLED[likelihood.is_recalled(exam.recall_threshold)]
        yield code_item(own_codes.RECALL, Relation.HAS_PROPERTIES, recalled, _sides(exam))
        category_range = own_codes.range_of(likelihood.category, None)
        yield code_item(own_codes.CATEGORY_RANGE, Relation.HAS_PROPERTIES, category_range, _sides(exam))
    if exam.tenth is not None and exam.tenth.tenth is not None:
        name, unit = own_codes.tenth_name(exam.tenth), own_codes.TENTH_UNIT
        yield num_item(name, Relation.HAS_PROPERTIES, exam.tenth.tenth, unit)
    bundle = encoding.bundles[0]
    # Without the radiologist's assessments: this object does not change when one is received.
    stated = [statement.sentence for statement in statements(replace(exam, concordances=()), bundle)]
    measured = set(measured_sentences(exam))  # left out: this object contains no lengths
    sentences = [sentence for sentence in stated if sentence not in measured]
    yield text_item(codes.IMPRESSION_DESCRIPTION, Relation.HAS_PROPERTIES, "\r\n".join(sentences))
    yield from algorithm(bundle, Part.WHOLE_IMAGES)


def _sides(exam: ExamReading) -> Iterator[Dataset]:
    if lateralities := sides(exam):
        value = codes.BOTH_BREASTS if len(lateralities) > 1 else codes.BREASTS[lateralities[0]]
        yield code_item(codes.LATERALITY, Relation.HAS_CONCEPT_MOD, value)
