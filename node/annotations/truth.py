"""The ground truth by experts (paper B, section 3.3): which received segmentation counts for each image.

Everything here only reads. Whether a segmentation counts is decided at each call, so it may arrive before its images.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from dicom_io.corrections import Correction, read_correction
from dicom_io.errors import NotReadable
from dicom_io.segmentations import read_header, shape_of
from models.types.mammogram import Laterality
from node.annotations.proposals import Proposals
from node.store.states import StudyState
from node.store.tables import Annotation, Instance

NO_IMAGE_NAMED = "it does not state which image its frames belong to"
NO_IMAGE_HERE = "none of its images is in the archive"
OTHER_PATIENT = "it names another patient than its image"
IN_QUARANTINE = "its study, or its image's, is in quarantine"
BY_A_MACHINE = "all its segments are marked as automatic, by an algorithm that is not the node's"
UNCHANGED_COPY = "all its segments are marked as the node's and it names no person: it is a copy of the node's result"
EMPTY_BY_NOBODY = "it is empty, names no person, and is not an edited result of the node"


@dataclass(frozen=True)
class AnnotatedImage:
    """One image and the newest readable segmentation of it by an expert.

    Attributes:
        study_id, image_id: ids in the database.
        image_uid, study_uid, patient_id: of the image. They are patient data: not for logs or exports.
        image_path, correction_path: relative to the data folder.
        laterality, view: of the image.
        creator: Content Creator's Name; "" if not stated.
        source: the AE title that sent the segmentation.
        created_at, received_at: seconds since the epoch; created_at is stated by the segmentation.
        earlier: the number of older segmentations of this image; they are kept and do not count.
        revision: the report with whose proposals it is compared; None if the image had not been read.
        proposal_path: the node's SEG of that revision; None if nothing was found in this image.
        proposal_lost: why the proposals are unknown (the file of the node's SEG is missing); then revision is None.
    """

    annotation_id: int
    study_id: int
    image_id: int
    study_uid: str
    image_uid: str
    patient_id: str
    image_path: str
    correction_path: str
    laterality: Laterality | None
    view: str | None
    creator: str
    source: str
    created_at: float | None
    received_at: float
    earlier: int
    revision: int | None
    proposal_path: str | None
    proposal_lost: str = ""


@dataclass(frozen=True)
class NotCounted:
    """A segmentation that is kept but is not ground truth, and why. With an `image_id`: only for that image."""

    annotation_id: int
    study_id: int
    source: str
    received_at: float
    why: str
    image_id: int | None = None


@dataclass(frozen=True)
class Annotations:
    """All annotations: images in the order of their studies, and segmentations that do not count."""

    images: tuple[AnnotatedImage, ...]
    not_counted: tuple[NotCounted, ...]


def of_studies(annotations: Annotations, ids: Collection[int]) -> Annotations:
    """Those of some studies, by their ids in the database."""
    return Annotations(
        tuple(image for image in annotations.images if image.study_id in ids),
        tuple(other for other in annotations.not_counted if other.study_id in ids),
    )


def read_annotations(session: Session, data_dir: Path) -> Annotations:
    """Reads all segmentations that are not the node's. For each image the newest readable one counts; all are kept.

    The age is by the stated creation time, or by the arrival if that is earlier. Reads the pixels of those that count,
    which takes a while: ends the session's transaction before each.
    """
    rows = session.scalars(
        select(Annotation).options(joinedload(Annotation.instance).joinedload(Instance.study)).order_by(Annotation.id)
    ).all()
    images = _images_named(session, rows)
    proposals = Proposals(session, data_dir)
    not_counted: list[NotCounted] = []
    of_image: dict[int, list[Annotation]] = {}
    for row in rows:
        found = [images[uid] for uid in row.images if uid in images]
        if why := _why_not_counted(row, found, proposals):
            not_counted.append(_not_counted(row, why))
            continue
        for image in found:
            of_image.setdefault(image.id, []).append(row)
    by_id = {image.id: image for image in images.values()}
    counted: list[AnnotatedImage] = []
    for image_id, made in of_image.items():
        image, older = by_id[image_id], sorted(made, key=_moment)
        while older:
            row = older.pop()
            session.commit()
            if why := _why_unusable(row, image, data_dir, proposals):
                not_counted.append(_not_counted(row, why, image))
                continue
            counted.append(_annotated(image, row, len(older), proposals))
            break
    counted.sort(key=lambda image: (image.study_id, image.image_id))
    return Annotations(tuple(counted), tuple(not_counted))


def _images_named(session: Session, rows: Sequence[Annotation]) -> dict[str, Instance]:
    """The images in the archive that these annotations name, by SOP Instance UID."""
    named = sorted({uid for row in rows for uid in row.images})
    found: dict[str, Instance] = {}
    for start in range(0, len(named), 500):  # SQLite limits the number of parameters
        for instance in session.scalars(
            select(Instance)
            .where(Instance.sop_instance_uid.in_(named[start : start + 500]))
            .options(joinedload(Instance.study))
        ):
            found[instance.sop_instance_uid] = instance
    return found


def _why_not_counted(row: Annotation, images: Sequence[Instance], proposals: Proposals) -> str | None:
    """Why a segmentation is not ground truth of the `images` that it names and that are here; None: it may be, if its
    file can be read."""
    if not row.images:
        return NO_IMAGE_NAMED
    if not images:
        return NO_IMAGE_HERE
    if any(image.patient_id != row.instance.patient_id for image in images):
        return OTHER_PATIENT
    if any(instance.study.state is StudyState.QUARANTINED for instance in (*images, row.instance)):
        return IN_QUARANTINE
    readers = {_reader_of(image) for image in images}
    if not set(row.automatic_by) <= readers:  # an image may have been read with another bundle since
        readers |= {name for image in images for name in proposals.readers(image.study_id)}
        if not set(row.automatic_by) <= readers:
            return BY_A_MACHINE
    if row.automatic_by and not row.creator and not row.predecessors:
        return UNCHANGED_COPY
    return None


def _why_unusable(row: Annotation, image: Instance, data_dir: Path, proposals: Proposals) -> str | None:
    try:
        correction = read_truth(data_dir, image.path, row.instance.path)
    except NotReadable as error:
        return str(error)
    # An empty segmentation by another machine has no segment that is marked as automatic.
    by_a_person = row.creator or correction.by_hand or proposals.are_edited_by(row)
    return None if correction.segments or by_a_person else EMPTY_BY_NOBODY


def read_truth(data_dir: Path, image_path: str, correction_path: str) -> Correction:
    """The pixels of a correction, in the shape (rows × columns) of its image.

    Raises:
        NotReadable: it is damaged or has another shape than its image, or one of the two files is missing.
    """
    try:
        return read_correction(data_dir / correction_path, shape_of(read_header(data_dir / image_path)))
    except FileNotFoundError as cause:
        raise NotReadable("one of its files is missing in the data folder: send it again") from cause


def _not_counted(row: Annotation, why: str, image: Instance | None = None) -> NotCounted:
    study_id, image_id = (row.instance.study_id, None) if image is None else (image.study_id, image.id)
    return NotCounted(row.id, study_id, row.source, row.instance.received_at, why, image_id)


def _reader_of(image: Instance) -> str | None:
    """The name of the bundle that read this image, which is the algorithm name in the node's segments."""
    bundle = (image.reading or {}).get("bundle")
    return str(bundle.get("name")) if isinstance(bundle, Mapping) else None


def _moment(row: Annotation) -> tuple[float, int]:
    received = row.instance.received_at
    return (received if row.created_at is None else min(row.created_at, received), row.id)


def _annotated(image: Instance, newest: Annotation, earlier: int, proposals: Proposals) -> AnnotatedImage:
    revision, path, lost = proposals.revision(image, newest), None, ""
    if revision is not None:
        try:
            path = proposals.path(image, revision)
        except NotReadable as error:  # the correction still is the ground truth
            revision, lost = None, str(error)
    return AnnotatedImage(
        annotation_id=newest.id,
        study_id=image.study_id,
        image_id=image.id,
        study_uid=image.study.study_instance_uid,
        image_uid=image.sop_instance_uid,
        patient_id=image.patient_id,
        image_path=image.path,
        correction_path=newest.instance.path,
        laterality=image.laterality,
        view=image.view,
        creator=newest.creator,
        source=newest.source,
        created_at=newest.created_at,
        received_at=newest.instance.received_at,
        earlier=earlier,
        revision=revision,
        proposal_path=path,
        proposal_lost=lost,
    )
