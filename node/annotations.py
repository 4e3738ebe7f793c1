"""What experts drew on our images (paper B, section 3.3): which segmentations count, image by image.

Everything here looks and changes nothing. Whether a segmentation counts is asked anew each time, so it may come before
the images that it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from dicom_io.segmentations import images_of_frames
from node.states import StudyState
from node.tables import Annotation, Instance, Result

NO_IMAGE_NAMED = "it does not say which image its frames belong to"
NO_IMAGE_HERE = "none of its images is here"
OTHER_PATIENT = "it names another patient than its image"
IN_QUARANTINE = "its study, or its image's, is in quarantine"
BY_A_MACHINE = "every segment is said to be automatic, by an algorithm that is not the node's"


@dataclass(frozen=True)
class AnnotatedImage:
    """One image of which an expert said what is there: the newest who did.

    Attributes:
        study_id, image_id: the node's own numbers. The study is the image's.
        image_uid, study_uid, patient_id: of the image; patient data: not for logs or exports.
        image_path, correction_path: relative to the data folder.
        laterality, view: of the image.
        creator: Content Creator's Name, "" where not stated.
        source: the AE title that sent the segmentation.
        created_at, received_at: seconds since the epoch; created_at as the segmentation says.
        earlier: how many older segmentations of this image are kept and do not count any more.
        revision: the report whose proposals it is measured against; None where there were none (not read by then).
        proposal_path: our SEG of that revision; None where it found nothing in this image.
    """

    annotation_id: int
    study_id: int
    image_id: int
    study_uid: str
    image_uid: str
    patient_id: str
    image_path: str
    correction_path: str
    laterality: str | None
    view: str | None
    creator: str
    source: str
    created_at: float | None
    received_at: float
    earlier: int
    revision: int | None
    proposal_path: str | None


@dataclass(frozen=True)
class NotCounted:
    """A segmentation that is kept and is no ground truth, and why."""

    annotation_id: int
    study_id: int
    source: str
    received_at: float
    why: str


@dataclass(frozen=True)
class Annotations:
    """All there are: images in the order of their studies, and what does not count."""

    images: tuple[AnnotatedImage, ...]
    not_counted: tuple[NotCounted, ...]


def read_annotations(session: Session, data_dir: Path) -> Annotations:
    """Every segmentation by others: of each image the newest counts, all are kept.

    Newest by what it says of its making, unless that lies after its coming.
    """
    rows = session.scalars(
        select(Annotation).options(joinedload(Annotation.instance).joinedload(Instance.study)).order_by(Annotation.id)
    ).all()
    images = _images(session, rows)
    proposals = _Proposals(session, data_dir)
    not_counted: list[NotCounted] = []
    of_image: dict[int, list[Annotation]] = {}
    for row in rows:
        found = [images[uid] for uid in row.images if uid in images]
        if why := _why_not(row, found):
            instance = row.instance
            not_counted.append(NotCounted(row.id, instance.study_id, row.source, instance.received_at, why))
            continue
        for image in found:
            of_image.setdefault(image.id, []).append(row)
    by_id = {image.id: image for image in images.values()}
    counted = [_annotated(by_id[image_id], sorted(made, key=_moment), proposals) for image_id, made in of_image.items()]
    counted.sort(key=lambda one: (one.study_id, one.image_id))
    return Annotations(tuple(counted), tuple(not_counted))


def _images(session: Session, rows: Sequence[Annotation]) -> dict[str, Instance]:
    """The images that any of these name and that are here, by SOP Instance UID."""
    named = sorted({uid for row in rows for uid in row.images})
    found: dict[str, Instance] = {}
    for start in range(0, len(named), 500):  # SQLite takes some thousand parameters at most
        for instance in session.scalars(
            select(Instance)
            .where(Instance.sop_instance_uid.in_(named[start : start + 500]))
            .options(joinedload(Instance.study))
        ):
            found[instance.sop_instance_uid] = instance
    return found


def _why_not(row: Annotation, images: Sequence[Instance]) -> str | None:
    if not row.images:
        return NO_IMAGE_NAMED
    if not images:
        return NO_IMAGE_HERE
    if any(image.patient_id != row.instance.patient_id for image in images):
        return OTHER_PATIENT
    if any(one.study.state is StudyState.QUARANTINED for one in (*images, row.instance)):
        return IN_QUARANTINE
    if row.automatic_by and not set(row.automatic_by) <= {_reader_of(image) for image in images}:
        return BY_A_MACHINE
    return None


def _reader_of(image: Instance) -> str | None:
    """The name of the bundle that read this image: the algorithm of our segments."""
    bundle = (image.reading or {}).get("bundle")
    return str(bundle.get("name")) if isinstance(bundle, Mapping) else None


def _moment(row: Annotation) -> tuple[float, int]:
    received = row.instance.received_at
    return (received if row.created_at is None else min(row.created_at, received), row.id)


def _annotated(image: Instance, made: Sequence[Annotation], proposals: _Proposals) -> AnnotatedImage:
    newest = made[-1]
    revision = proposals.revision(image, newest)
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
        earlier=len(made) - 1,
        revision=revision,
        proposal_path=None if revision is None else proposals.path(image, revision),
    )


class _Proposals:
    """Our own SEGs, found by study, revision and image; each header is read once."""

    def __init__(self, session: Session, data_dir: Path) -> None:
        self._session = session
        self._data_dir = data_dir
        self._results: dict[int, list[Result]] = {}
        self._paths: dict[tuple[int, int], dict[str, str]] = {}

    def revision(self, image: Instance, annotation: Annotation) -> int | None:
        """The revision that an annotation corrects: that of the SEG it names, else the newest that was written when the
        annotation came; None where the image was not read in one."""
        if image.reading is None:
            return None
        written = self._of_study(image.study_id)
        named = [result.revision for result in written if result.sop_instance_uid in annotation.predecessors]
        seen = [result.revision for result in written if result.written_at <= annotation.instance.received_at]
        return max(named or seen, default=None)

    def path(self, image: Instance, revision: int) -> str | None:
        """Our SEG of an image; None where it has none."""
        key = (image.study_id, revision)
        if key not in self._paths:
            self._paths[key] = dict(self._segs(*key))
        return self._paths[key].get(image.sop_instance_uid)

    def _segs(self, study_id: int, revision: int) -> Iterator[tuple[str, str]]:
        for result in self._of_study(study_id):
            if result.kind == "SEG" and result.revision == revision:
                header = dcmread(self._data_dir / result.path, stop_before_pixels=True)
                yield from ((uid, result.path) for uid in images_of_frames(header) if uid)

    def _of_study(self, study_id: int) -> list[Result]:
        if study_id not in self._results:
            self._results[study_id] = list(
                self._session.scalars(select(Result).where(Result.study_id == study_id).order_by(Result.id))
            )
        return self._results[study_id]
