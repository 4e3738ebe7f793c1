"""The content tree of the report: TID 1500 Measurement Report (PS3.16)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from highdicom.sr import (
    CodeContentItem,
    CompositeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    NumContentItem,
    ObservationContext,
    RelationshipTypeValues,
    TextContentItem,
)
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.attributes import code, text
from dicom_io.headers import kind_of
from dicom_io.instance_kinds import InstanceKind
from dicom_io.results import codes
from dicom_io.results.encoding import Encoding
from dicom_io.results.language import Language
from dicom_io.results.observer import device_observer
from dicom_io.results.scored import outcome
from dicom_io.results.sources import patient_orientation, spacing_mm
from dicom_io.results.sr.concordance import concordance_items
from dicom_io.results.sr.groups import lesion_groups, score_groups
from dicom_io.results.statements import Statement, statements, summary_sentences
from dicom_io.results.view_modifiers import view_modifiers
from models.types.exam import ExamImage, ExamReading

_CONTAINS = RelationshipTypeValues.CONTAINS
_CONCEPT = RelationshipTypeValues.HAS_CONCEPT_MOD
_ACQUISITION = RelationshipTypeValues.HAS_ACQ_CONTEXT
_INFERRED = RelationshipTypeValues.INFERRED_FROM


def measurement_report(
    exam: ExamReading, sources: Mapping[str, Dataset], segs: Iterable[Dataset], encoding: Encoding
) -> ContainerContentItem:
    """The root content item (CONTAINER).

    Args:
        sources: the header of every instance of the study, by SOP Instance UID.
        segs: the segmentations of the lesions that the report describes.
    """
    drawn: list[ContentSequence] = [*lesion_groups(exam, sources, encoding.language)]
    scores: list[ContentSequence] = [*score_groups(exam, sources, encoding)]
    if encoding.profile.draws_exam:
        drawn, scores = [*drawn, *scores], []
    # OHIF fails on an Imaging Measurement Report without anything to draw; documents of other titles are shown as text.
    title = codes.IMAGING_MEASUREMENT_REPORT if drawn else codes.ONCOLOGY_MEASUREMENT_REPORT
    root = ContainerContentItem(name=title, template_id="1500")
    root.ContentSequence = ContentSequence()
    language = encoding.language
    spoken = CodedConcept(language.code, "RFC5646", language.name)
    root.ContentSequence.extend(LanguageOfContentItemAndDescendants(spoken))
    root.ContentSequence.extend(ObservationContext(observer_device_context=device_observer(encoding.device)))
    root.ContentSequence.append(CodeContentItem(codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE, _CONCEPT))
    root.ContentSequence.append(
        TextContentItem(
            codes.SUMMARY, "\r\n".join(language.report(summary_sentences(exam, encoding.revision))), _CONTAINS
        )
    )
    if exam.images:
        root.ContentSequence.append(_image_library(exam, sources))
    if drawn:
        root.ContentSequence.append(_measurements(drawn))
    root.ContentSequence.append(_evaluations(exam, sources, segs, encoding, scores))
    return root


def _image_library(exam: ExamReading, sources: Mapping[str, Dataset]) -> ContainerContentItem:
    """TID 1600: the images that were read."""
    group = ContainerContentItem(codes.IMAGE_LIBRARY_GROUP, relationship_type=_CONTAINS)
    group.ContentSequence = ContentSequence()
    for image in exam.images:
        source = sources[image.sop_instance_uid]
        entry = ImageContentItem(codes.SOURCE, source.SOPClassUID, source.SOPInstanceUID, relationship_type=_CONTAINS)
        entry.ContentSequence = ContentSequence(list(_descriptors(image, source)))
        group.ContentSequence.append(entry)
    library = ContainerContentItem(codes.IMAGE_LIBRARY, relationship_type=_CONTAINS)
    library.ContentSequence = ContentSequence([group])
    return library


def _descriptors(image: ExamImage, source: Dataset) -> Iterator[ContentItem]:
    """TID 1602 and 1603. highdicom's omits laterality and view, and requires attributes that many headers lack."""
    modality = codes.MODALITIES.get(code(source, "Modality"), codes.MODALITIES["MG"])
    yield CodeContentItem(codes.MODALITY, modality, _ACQUISITION)
    yield CodeContentItem(codes.TARGET_REGION, codes.BREAST, _ACQUISITION)
    if image.laterality:
        yield CodeContentItem(codes.IMAGE_LATERALITY, codes.LATERALITIES[image.laterality], _ACQUISITION)
    rows, columns = image.reading.shape
    yield _number(codes.PIXEL_DATA_ROWS, rows, codes.PIXELS)
    yield _number(codes.PIXEL_DATA_COLUMNS, columns, codes.PIXELS)
    if image.view in codes.VIEWS:
        view = CodeContentItem(codes.IMAGE_VIEW, codes.VIEWS[image.view], _ACQUISITION)
        modifiers = [
            CodeContentItem(codes.IMAGE_VIEW_MODIFIER, modifier, _CONCEPT) for modifier in view_modifiers(source)
        ]
        if modifiers:
            view.ContentSequence = ContentSequence(modifiers)
        yield view
    if orientation := patient_orientation(source):
        yield TextContentItem(codes.PATIENT_ORIENTATION_ROW, orientation[0], _ACQUISITION)
        yield TextContentItem(codes.PATIENT_ORIENTATION_COLUMN, orientation[1], _ACQUISITION)
    if spacing := spacing_mm(source):
        yield _number(codes.HORIZONTAL_PIXEL_SPACING, spacing[1], codes.MILLIMETRE)
        yield _number(codes.VERTICAL_PIXEL_SPACING, spacing[0], codes.MILLIMETRE)


def _number(name: Code, value: float, unit: Code) -> NumContentItem:
    return NumContentItem(name, value, unit, relationship_type=_ACQUISITION)


def _measurements(groups: Iterable[ContentSequence]) -> ContainerContentItem:
    """TID 1500 row 6: the groups that have a region in an image; OHIF fails on a group without one."""
    container = ContainerContentItem(codes.IMAGING_MEASUREMENTS, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence()
    for group in groups:
        container.ContentSequence.extend(group)
    return container


def _evaluations(
    exam: ExamReading,
    sources: Mapping[str, Dataset],
    segs: Iterable[Dataset],
    encoding: Encoding,
    scores: Iterable[ContentSequence],
) -> ContainerContentItem:
    """TID 1500 rows 12 to 14: the outcome of the reading, scores of breasts and exam, concordances, then sentences."""
    container = ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence([_summary(exam, segs)])
    for group in scores:
        container.ContentSequence.extend(group)
    container.ContentSequence.extend(concordance_items(exam, sources))
    for statement in statements(exam, encoding.bundles[0]):
        container.ContentSequence.append(_comment(statement, sources, encoding.language))
    return container


def _summary(exam: ExamReading, segs: Iterable[Dataset]) -> CodeContentItem:
    """The outcome of the reading, inferred from the segmentations. They are referenced here because a lesion's group
    may hold its outline or its segment, not both (TID 1410 rows 5 to 8)."""
    item = CodeContentItem(codes.CAD_SUMMARY, outcome(exam), _CONTAINS)
    segmentations = [
        ImageContentItem(codes.SEGMENTATION, seg.SOPClassUID, seg.SOPInstanceUID, relationship_type=_INFERRED)
        for seg in segs
    ]
    if segmentations:
        item.ContentSequence = ContentSequence(segmentations)
    return item


def _comment(statement: Statement, sources: Mapping[str, Dataset], language: Language) -> TextContentItem:
    item = TextContentItem(codes.COMMENT, language.say(statement.sentence), _CONTAINS)
    instance = sources.get(statement.sop_instance_uid or "")
    if instance is not None and text(instance, "SOPClassUID"):
        is_image = kind_of(instance) not in (InstanceKind.REPORT, InstanceKind.OTHER)
        about = ImageContentItem if is_image else CompositeContentItem
        item.ContentSequence = ContentSequence(
            [about(codes.SOURCE, instance.SOPClassUID, instance.SOPInstanceUID, relationship_type=_INFERRED)]
        )
    return item
