"""The Image Library (TID 4020) of a Mammography CAD SR: its images, to which all other items refer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydicom import Dataset

from dicom_io.attributes import text
from dicom_io.errors import NotEncodable
from dicom_io.headers import kind_of, laterality_of, why_never_read
from dicom_io.results import codes
from dicom_io.results.cad_sr.items import (
    Relation,
    by_reference,
    code_item,
    container_item,
    date_item,
    image_item,
    num_item,
    text_item,
    time_item,
)
from dicom_io.results.sources import demographics, patient_orientation, spacing_mm
from dicom_io.results.view_modifiers import view_modifiers
from dicom_io.views import view_of
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality

_ACQUIRED = Relation.HAS_ACQ_CONTEXT


@dataclass(frozen=True)
class ImageLibrary:
    """The images that were read, then those that should have been read and were not. Images that are left out on
    purpose, such as copies of images that were read, are not in it.

    Attributes:
        position: of the library in the content tree.
        read: each image that was read, with its header.
        unread: the headers of the others; they may lack most attributes.
    """

    position: tuple[int, ...]
    read: tuple[tuple[ExamImage, Dataset], ...]
    unread: tuple[Dataset, ...]

    @property
    def attempted(self) -> bool:
        """Whether the study has a mammogram to read; if not, the study was not suitable."""
        return bool(self.read) or any(
            kind_of(source).is_mammogram and not why_never_read(source) for source in self.unread
        )

    @property
    def sources(self) -> list[Dataset]:
        return [*(source for _, source in self.read), *self.unread]

    def refer(self, relation: Relation, sop_instance_uid: str) -> Dataset:
        """An item that refers to an image of the library by reference."""
        uids = [source.SOPInstanceUID for source in self.sources]
        return by_reference(relation, (*self.position, uids.index(sop_instance_uid) + 1))

    def content(self) -> Dataset:
        read = [_entry(source, image.laterality, image.view) for image, source in self.read]
        unread = [_entry(source, laterality_of(source), view_of(source)) for source in self.unread]
        return container_item(codes.IMAGE_LIBRARY, Relation.CONTAINS, [*read, *unread])


def library_of(exam: ExamReading, sources: Mapping[str, Dataset], position: tuple[int, ...]) -> ImageLibrary:
    """Makes the library of an exam.

    Raises:
        NotEncodable: there is no image to refer to (the template requires one), or an image that was read has no
            header.
    """
    if any(image.sop_instance_uid not in sources for image in exam.images):
        raise NotEncodable("An image that was read is not among the sources of the CAD report.")
    missed = [
        sources[image.sop_instance_uid]
        for image in exam.unread
        if not image.on_purpose and image.sop_instance_uid in sources
    ]
    library = ImageLibrary(
        position=position,
        read=tuple((image, sources[image.sop_instance_uid]) for image in exam.images),
        unread=tuple(source for source in missed if kind_of(source).is_image),
    )
    if not library.sources:
        raise NotEncodable("A CAD report needs at least one image of its study to refer to.")
    return library


def _entry(source: Dataset, laterality: Laterality | None, view: str | None) -> Dataset:
    return image_item(source, Relation.CONTAINS, _acquired(source, laterality, view))


def _acquired(source: Dataset, laterality: Laterality | None, view: str | None) -> Iterator[Dataset]:
    if laterality:
        yield code_item(codes.IMAGE_LATERALITY, _ACQUIRED, codes.BREASTS[laterality])
    if view in codes.VIEWS:
        modifiers = [
            code_item(codes.IMAGE_VIEW_MODIFIER, Relation.HAS_CONCEPT_MOD, modifier)
            for modifier in view_modifiers(source)
        ]
        yield code_item(codes.IMAGE_VIEW, _ACQUIRED, codes.VIEWS[view], modifiers)
    if orientation := patient_orientation(source):
        yield text_item(codes.PATIENT_ORIENTATION_ROW, _ACQUIRED, orientation[0])
        yield text_item(codes.PATIENT_ORIENTATION_COLUMN, _ACQUIRED, orientation[1])
    study = demographics(source)
    if date := text(study, "StudyDate"):
        yield date_item(codes.STUDY_DATE, _ACQUIRED, date)
    if time := text(study, "StudyTime"):
        yield time_item(codes.STUDY_TIME, _ACQUIRED, time)
    if re.fullmatch(r"\d{8}", date := text(source, "ContentDate")):
        yield date_item(codes.CONTENT_DATE, _ACQUIRED, date)
    if re.fullmatch(r"\d{6}(\.\d{1,6})?", time := text(source, "ContentTime")):
        yield time_item(codes.CONTENT_TIME, _ACQUIRED, time)
    if spacing := spacing_mm(source):
        yield num_item(codes.HORIZONTAL_PIXEL_SPACING, _ACQUIRED, spacing[1], codes.MILLIMETRE)
        yield num_item(codes.VERTICAL_PIXEL_SPACING, _ACQUIRED, spacing[0], codes.MILLIMETRE)
