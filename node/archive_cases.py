"""The node's own archive as a data set: images that an expert corrected, with the expert's outlines (paper B, 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from config.settings import Settings
from dicom_io.errors import NotReadable
from dicom_io.segmentations import ReadSegment
from models.datasets.case import Case, Cases, DatasetError, LeftOut, Lesion
from models.datasets.dicom import DicomReader
from models.types import FindingKind, Laterality, Mammogram
from node.annotations import AnnotatedImage, Annotations, read_annotations
from node.annotations_compared import Comparison, compare
from node.database import looking, open_database, sessions_of
from node.pseudonyms import Pseudonyms, open_pseudonyms

DATASET = "archive"
NO_KIND = (
    "a lesion in it is neither called a mass nor a calcification: name its segment so in the viewer and send it again"
)


@dataclass(frozen=True, eq=False)
class TrueLesion:
    """What an expert drew; `kind` from its code or label, else from the proposal that it was drawn over, else None."""

    segment: ReadSegment
    kind: FindingKind | None


@dataclass(frozen=True, eq=False)
class TrueImage:
    """One image with its truth, under names that tell nobody whose it is."""

    image: AnnotatedImage
    name: str
    patient: str
    exam: str
    annotator: str
    lesions: tuple[TrueLesion, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every lesion's kind is known."""
        return all(lesion.kind is not None for lesion in self.lesions)


def archive_cases(settings: Settings, reader: DicomReader) -> Cases:
    """The images of the archive about which an expert said what is there; nothing of it names a patient.

    Only images that a correction is about: those that an expert left alone may hold what nobody looked for. BI-RADS,
    density and pathology are not known here.

    Raises:
        DatasetError: the node has no archive yet.
    """
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise DatasetError(f"There is no queue at {url.database} yet: `mammo-node serve` makes it.")
    with looking(sessions_of(open_database(settings.database))) as session:
        found = read_annotations(session, settings.data_dir)
    images, left_out = true_images(found, settings.data_dir, open_pseudonyms(settings.data_dir))
    cases = tuple(_case(image, settings.data_dir / image.image.image_path, reader) for image in images)
    unknown = tuple(LeftOut(_place(one.image), NO_KIND) for one in images if not one.is_complete)
    return Cases(cases, (*left_out, *unknown))


def true_images(
    found: Annotations, data_dir: Path, pseudonyms: Pseudonyms
) -> tuple[tuple[TrueImage, ...], tuple[LeftOut, ...]]:
    """The truth of each image, and what cannot be used and why. Reads the pixels of the corrections."""
    images: list[TrueImage] = []
    left_out = [LeftOut(f"annotation {one.annotation_id}", one.why) for one in found.not_counted]
    for image in found.images:
        try:
            comparison = compare(image, data_dir)
        except NotReadable as error:
            left_out.append(LeftOut(_place(image), f"its correction cannot be used: {error}"))
            continue
        # Who has no ID is told from others who have none by the study.
        patient = (image.patient_id,) if image.patient_id else ("", image.study_uid)
        images.append(
            TrueImage(
                image=image,
                name=pseudonyms.of("image", image.image_uid),
                patient=pseudonyms.of("patient", *patient),
                exam=pseudonyms.of("exam", image.study_uid),
                annotator=pseudonyms.of("annotator", image.creator) if image.creator else "",
                lesions=_lesions(comparison),
            )
        )
    return tuple(images), tuple(left_out)


def _lesions(comparison: Comparison) -> tuple[TrueLesion, ...]:
    proposed = {id(pair.drawn): pair.proposed.kind for pair in comparison.kept}
    return tuple(TrueLesion(segment, segment.kind or proposed.get(id(segment))) for segment in comparison.drawn)


def _case(truth: TrueImage, path: Path, reader: DicomReader) -> Case:
    lesions = tuple(
        Lesion(mask=one.segment.mask, outlined=True, kind=one.kind) for one in truth.lesions if one.kind is not None
    )
    return Case(
        name=truth.name,
        dataset=DATASET,
        patients=(truth.patient,),
        exam=truth.exam,
        laterality=Laterality(truth.image.laterality) if truth.image.laterality else None,
        view=truth.image.view,
        pathology=None,
        birads=None,
        density=None,
        marked_up=truth.is_complete,
        label_is_fair=True,
        official=None,
        read=_opener(path, reader),
        read_lesions=lambda _: lesions,
        kinds=frozenset(lesion.kind for lesion in lesions),
    )


def _opener(path: Path, reader: DicomReader) -> Callable[[], Mammogram]:
    return lambda: reader.mammogram(path)


def _place(image: AnnotatedImage) -> str:
    return f"study {image.study_id}, image {image.image_id}"
