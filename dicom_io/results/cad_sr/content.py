"""The content tree of a Mammography CAD SR: TID 4000 (PS3.16), top down; PS3.17 Annex E has examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.results import codes
from dicom_io.results.birads_codes import ASSESSMENT_CATEGORY, CODES
from dicom_io.results.cad_sr.findings import impressions
from dicom_io.results.cad_sr.items import Part, Relation, algorithm, coded, container, words
from dicom_io.results.cad_sr.library import ImageLibrary
from dicom_io.results.cad_sr.performed import summary_of_analyses, summary_of_detections
from dicom_io.results.encoding import sides
from dicom_io.results.statements import MEASURED, statements
from models.types import BundleId, ExamReading

LIBRARY_POSITION = (1, 2)
"""Of the Image Library: the root's second item."""


def cad_report(exam: ExamReading, library: ImageLibrary, bundle: BundleId) -> Dataset:
    """The root container.

    Args:
        bundle: the models in use, named where nothing was read.
    """
    template = Dataset()
    template.MappingResource = "DCMR"
    template.TemplateIdentifier = "4000"
    root = container(
        codes.MAMMOGRAPHY_CAD_REPORT,
        None,
        [
            coded(codes.LANGUAGE, Relation.HAS_CONCEPT_MOD, codes.ENGLISH),
            library.content(),
            _overall_impression(exam, library, bundle),
            summary_of_detections(exam, library, bundle),
            summary_of_analyses(exam, library, bundle),
        ],
    )
    root.ContentTemplateSequence = [template]
    return root


def _overall_impression(exam: ExamReading, library: ImageLibrary, bundle: BundleId) -> Dataset:
    """TID 4001: what became of the reading, the exam as a whole, and each lesion."""
    within = [*_impression_body(exam, bundle), *impressions(exam, library)]
    return coded(codes.CAD_SUMMARY, Relation.CONTAINS, _outcome(exam, library), within)


def _outcome(exam: ExamReading, library: ImageLibrary) -> Code:
    if not exam.images:
        return codes.NO_ALGORITHM_SUCCEEDED
    return codes.CAD_SUMMARIES[not library.unread, any(image.reading.findings for image in exam.images)]


def _impression_body(exam: ExamReading, bundle: BundleId) -> Iterator[Dataset]:
    """TID 4002: the exam's category where its probability implies one that has a code; in words all that is to say.

    The exam's alone: PixelMed takes a second category, of a breast, for an error, though PS3.16 allows several.
    """
    if exam.likelihood is not None and exam.likelihood.category in CODES:
        category = CODES[exam.likelihood.category]
        yield coded(ASSESSMENT_CATEGORY, Relation.HAS_PROPERTIES, category, _sides(exam))
    # The radiologist's assessments have no place here: this object stays as it is when one comes in.
    told = (one.sentence for one in statements(replace(exam, concordances=()), bundle) if one.sentence != MEASURED)
    yield words(codes.IMPRESSION_DESCRIPTION, Relation.HAS_PROPERTIES, "\r\n".join(told))
    yield from algorithm(bundle, Part.WHOLE_IMAGES)


def _sides(exam: ExamReading) -> Iterator[Dataset]:
    if told := sides(exam):
        value = codes.BOTH_BREASTS if len(told) > 1 else codes.BREASTS[told[0]]
        yield coded(codes.LATERALITY, Relation.HAS_CONCEPT_MOD, value)
