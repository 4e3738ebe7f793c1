"""The node's own archive as a data set: images with outlines that an expert corrected (paper B, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from config.settings import Settings
from dicom_io.errors import NotReadable
from dicom_io.segmentations import ReadSegment
from models.datasets.archive import ArchiveImage, cases_of
from models.datasets.case import Cases, DatasetError, LeftOut
from models.datasets.dicom import DicomReader
from models.errors import UserError
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from node.annotations.compared import Comparison, compare
from node.annotations.pseudonyms import Pseudonyms, open_pseudonyms
from node.annotations.truth import AnnotatedImage, Annotations, read_annotations
from node.store.database import QueueUnusable, open_queue, read_only


@dataclass(frozen=True, eq=False)
class TrueLesion:
    """A lesion that an expert drew. `kind` comes from its code or label, else from the matching proposal, else None."""

    segment: ReadSegment
    kind: FindingKind | None


@dataclass(frozen=True, eq=False)
class TrueImage:
    """One image with its ground truth. `name`, `patient`, `exam` and `annotator` are pseudonyms."""

    image: AnnotatedImage
    name: str
    patient: str
    exam: str
    annotator: str
    lesions: tuple[TrueLesion, ...]


def archive_cases(settings: Settings, reader: DicomReader) -> Cases:
    """The images of the archive that an expert corrected, under pseudonyms.

    Images without a correction are left out: they may contain lesions that no expert looked for. BI-RADS, density and
    pathology are unknown, because reports are not read.

    Raises:
        DatasetError: the node has no archive yet, or the key of its pseudonyms is damaged. Reading an image raises it
            if the image's file is missing or damaged.
    """
    try:
        sessions = open_queue(settings.database)
    except QueueUnusable as error:
        raise DatasetError(str(error)) from error
    with read_only(sessions) as session:
        found = read_annotations(session, settings.data_dir)
    images, left_out = true_images(found, settings.data_dir, open_pseudonyms(settings.data_dir))
    cases = cases_of_images(images, settings.data_dir, reader)
    return replace(cases, left_out=(*left_out, *cases.left_out))


def cases_of_images(images: Sequence[TrueImage], data_dir: Path, reader: DicomReader) -> Cases:
    """The images as cases. Reading an image raises DatasetError if its file is missing or damaged."""
    return cases_of([_archive_image(truth, data_dir / truth.image.image_path, reader) for truth in images])


def true_images(
    found: Annotations, data_dir: Path, pseudonyms: Pseudonyms
) -> tuple[tuple[TrueImage, ...], tuple[LeftOut, ...]]:
    """The ground truth of each image, and what cannot be used and why. Reads the pixels of the corrections."""
    images: list[TrueImage] = []
    left_out = [LeftOut(f"annotation {annotation.annotation_id}", annotation.why) for annotation in found.not_counted]
    for image in found.images:
        try:
            comparison = compare(image, data_dir)
        except NotReadable as error:
            left_out.append(LeftOut(_place(image), f"its correction cannot be used: {error}"))
            continue
        images.append(
            TrueImage(
                image=image,
                name=pseudonyms.of("image", image.image_uid),
                patient=pseudonym_of_patient(pseudonyms, image.patient_id, image.study_uid),
                exam=pseudonyms.of("exam", image.study_uid),
                annotator=pseudonyms.of("annotator", image.creator) if image.creator else "",
                lesions=_lesions(comparison),
            )
        )
    return tuple(images), tuple(left_out)


def pseudonym_of_patient(pseudonyms: Pseudonyms, patient_id: str, study_uid: str) -> str:
    """A patient's pseudonym. Patients without an ID are distinguished by their study."""
    return pseudonyms.of("patient", *((patient_id,) if patient_id else ("", study_uid)))


def _lesions(comparison: Comparison) -> tuple[TrueLesion, ...]:
    proposed = {id(pair.drawn): pair.proposed.kind for pair in comparison.kept}
    return tuple(TrueLesion(segment, segment.kind or proposed.get(id(segment))) for segment in comparison.drawn)


def _archive_image(truth: TrueImage, path: Path, reader: DicomReader) -> ArchiveImage:
    return ArchiveImage(
        place=_place(truth.image),
        name=truth.name,
        patient=truth.patient,
        exam=truth.exam,
        laterality=truth.image.laterality,
        view=truth.image.view,
        kinds=tuple(lesion.kind for lesion in truth.lesions),
        read=lambda: _read(path, truth.image, reader),
        draw=lambda _: [lesion.segment.mask for lesion in truth.lesions],
    )


def _read(path: Path, image: AnnotatedImage, reader: DicomReader) -> Mammogram:
    # Not CheckedReader: its errors contain the file name, and file names in the archive contain UIDs.
    try:
        return reader.mammogram(path)
    except OSError as error:
        cause = f"its file cannot be opened: {error.strerror or type(error).__name__}."
    except UserError as error:
        cause = f"its file cannot be used: {error}"
    raise DatasetError(f"The archive's {_place(image)}: {cause} Send the study again from the PACS.")


def _place(image: AnnotatedImage) -> str:
    return f"study {image.study_id}, image {image.image_id}"
