"""`mammo-node reread`: reads a study's images again, with the same or other models, to compare or report them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from dicom_io.durable import write_durably
from models.anatomy.same_lesion import same_lesions
from models.errors import UserError
from models.pipeline import Pipeline
from models.readings.reading_json import from_json, masks_of, to_json
from models.types.reading import Finding, ImageReading
from node.archive.digests import ArchivedFile
from node.archive.layout import masks_of_rereading
from node.reader.decoding import decode
from node.retention.told import images_deleted
from node.store.database import Sessions, read_only
from node.store.states import StudyState
from node.store.tables import ShadowReading, Study
from node.store.unread import Unread, sentence
from node.studies.lifecycle import report_anew


class CannotReread(UserError):
    """The message says why, and what to do."""


@dataclass(frozen=True, eq=False)
class Reread:
    """An image with its reading before and now; `instance_id` is its row."""

    instance_id: int
    laterality: str | None
    view: str | None
    before: ImageReading
    now: ImageReading

    @property
    def kept(self) -> list[tuple[Finding, Finding]]:
        """Findings of both readings, before and now."""
        pairs = same_lesions(*([finding.mask for finding in reading.findings] for reading in (self.before, self.now)))
        return [(self.before.findings[old], self.now.findings[new]) for new, old in pairs.items()]

    @property
    def gone(self) -> int:
        return len(self.before.findings) - len(self.kept)

    @property
    def new(self) -> int:
        return len(self.now.findings) - len(self.kept)


@dataclass(frozen=True)
class Rereading:
    """One study's images read again.

    Attributes:
        revision: of the report that holds `before`.
    """

    study_id: int
    revision: int
    images: tuple[Reread, ...]

    @property
    def deciding(self) -> tuple[ImageReading, ImageReading]:
        """Before and now: the image with the highest score, which is the exam's (models/readings/exam.py)."""
        return (
            max((image.before for image in self.images), key=lambda reading: reading.malignancy),
            max((image.now for image in self.images), key=lambda reading: reading.malignancy),
        )


def reread(
    sessions: Sessions,
    data_dir: Path,
    study_id: int,
    pipeline: Pipeline,
    max_image_pixels: int,
    on_read: Callable[[int, int], None],
) -> Rereading:
    """Reads the images of a reported study again, one at a time; changes nothing.

    Args:
        on_read: called with the number of images done and the number of all.

    Raises:
        CannotReread: the study is not reported, or no image of it was read.
        NotReadable: an image cannot be decoded any more.
    """
    revision, rows = _read_before(sessions, data_dir, study_id)
    images = []
    for number, (row, file) in enumerate(rows, start=1):
        [reading] = pipeline.read([decode(file, max_image_pixels)])
        images.append(replace(row, now=reading))
        on_read(number, len(rows))
    return Rereading(study_id, revision, tuple(images))


def store_rereading(sessions: Sessions, data_dir: Path, rereading: Rereading, now: float) -> int:
    """Replaces the old readings by the new ones and queues the next revision; returns its number.

    Raises:
        CannotReread: the study got another report or another image meanwhile; nothing was changed.
    """
    paths = {}
    for image in rereading.images:  # durable before a row has their path; without a row they are leftovers
        path = masks_of_rereading(image.instance_id, rereading.revision + 1)
        write_durably(data_dir / path, masks_of(image.now))
        paths[image.instance_id] = str(path)
    with sessions.begin() as session:
        study = _reported(session, rereading.study_id)
        if study.revision != rereading.revision:
            raise CannotReread(f"Study {study.id} was reported again while it was read: try again.")
        for instance in study.instances:
            for image in rereading.images:
                if image.instance_id == instance.id:
                    instance.reading = to_json(image.now)
                    instance.masks_path = paths[instance.id]
                    instance.read_at = now
        study.readings_purged_at = None
        report_anew(session, study, now, f"read again by {rereading.images[0].now.bundle}")
        return study.revision


def store_shadow(session: Session, rereading: Rereading, now: float) -> None:
    """Keeps what another bundle says beside what was reported; the study itself does not change."""
    before, other = rereading.deciding
    session.add(
        ShadowReading(
            study_id=rereading.study_id,
            revision=rereading.revision,
            read_at=now,
            bundle=str(before.bundle),
            other_bundle=str(other.bundle),
            score=before.malignancy,
            other_score=other.malignancy,
            category=before.as_exam.category if before.as_exam else None,
            other_category=other.as_exam.category if other.as_exam else None,
            findings_kept=sum(len(image.kept) for image in rereading.images),
            findings_new=sum(image.new for image in rereading.images),
            findings_gone=sum(image.gone for image in rereading.images),
        )
    )


def _reported(session: Session, study_id: int) -> Study:
    study = session.get_one(Study, study_id, with_for_update=True)
    if study.state is not StudyState.REPORTED:
        why = sentence(Unread.IN_QUARANTINE) if study.state is StudyState.QUARANTINED else f"it is {study.state}"
        raise CannotReread(
            f"Study {study.id} cannot be read again now: {why}. Only a study with a report can (`mammo-node status`)."
        )
    if deleted := images_deleted(study):
        raise CannotReread(
            f"Study {study.id} cannot be read again: {deleted}. Have it sent again first (`mammo-node pull`)."
        )
    return study


def _read_before(
    sessions: Sessions, data_dir: Path, study_id: int
) -> tuple[int, Sequence[tuple[Reread, ArchivedFile]]]:
    with read_only(sessions) as session:
        study = _reported(session, study_id)
        rows = []
        for instance in study.instances:
            if instance.reading is not None and instance.masks_path is not None:
                before = from_json(instance.reading, (data_dir / instance.masks_path).read_bytes())
                rows.append(
                    (
                        Reread(instance.id, instance.laterality, instance.view, before, before),
                        ArchivedFile(data_dir / instance.path, instance.sha256),
                    )
                )
        if not rows and any(instance.reading is not None for instance in study.instances):
            raise CannotReread(
                f"The readings of study {study.id} were purged (retention), so there is nothing to compare with: "
                f"`mammo-node retry {study.id}` has its images read again."
            )
        if not rows:
            raise CannotReread(f"No image of study {study.id} was read: `mammo-node retry {study.id}` tries again.")
        return study.revision, rows
