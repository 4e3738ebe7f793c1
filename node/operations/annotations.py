"""The node's proposals against the experts' corrections, of the whole archive, as commands and the page show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from dicom_io.errors import NotReadable
from dicom_io.results.geometry import outline
from dicom_io.segmentations import ReadSegment
from models.types.mammogram import Laterality
from node.annotations.compared import Comparison, compare
from node.annotations.review import DueStudy, due_for_review
from node.annotations.stats import AnnotationStats, annotation_stats
from node.annotations.truth import AnnotatedImage, Annotations, read_annotations
from node.store.database import open_queue, read_only
from node.store.tables import Instance

MOST_DRAWN = 24
"""Images whose outlines are kept for a page: the newest corrections."""


@dataclass(frozen=True)
class CorrectedImage:
    """An image with an expert's correction. Outlines are points of an SVG polygon in pixels of the image.

    Attributes:
        laterality, view: of the image; None where they are not known.
        by: the expert's name; "" if not stated.
        received_at: UTC seconds since the epoch.
        against: the revision whose proposals are compared; None: there were none, and `why` says so.
        dice: of each kept lesion.
        shape: rows and columns of the image; None: its outlines are not kept.
    """

    study: int
    image: int
    laterality: Laterality | None
    view: str | None
    by: str
    received_at: float
    against: int | None
    why: str
    lesions: int
    dice: tuple[float, ...]
    added: int
    removed: int
    shape: tuple[int, int] | None = None
    proposed_outlines: tuple[str, ...] = ()
    drawn_outlines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Uncounted:
    """A segmentation that is kept and does not count, and why."""

    study: int
    received_at: float
    why: str


@dataclass(frozen=True)
class AnnotationsView:
    """`images`: the newest correction first; `due`: selected for review (a `share` of the reported studies, 0..1) and
    without a correction; `at`: when it was compared, UTC seconds since the epoch."""

    stats: AnnotationStats
    images: tuple[CorrectedImage, ...]
    uncounted: tuple[Uncounted, ...]
    due: tuple[DueStudy, ...]
    share: float
    at: float


def compare_all(found: Annotations, data_dir: Path) -> tuple[list[Comparison], list[tuple[AnnotatedImage, str]]]:
    """Every correction compared with its proposals; and those whose files cannot be read, each with the reason."""
    comparisons, unreadable = [], []
    for image in found.images:
        try:
            comparisons.append(compare(image, data_dir))
        except NotReadable as error:
            unreadable.append((image, str(error)))
    return comparisons, unreadable


def due_studies(session: Session, settings: Settings, found: Annotations) -> list[DueStudy]:
    """The studies selected for review without a correction, oldest first."""
    return due_for_review(session, settings.review.share, {image.study_id for image in found.images})


def view_annotations(settings: Settings, now: float) -> AnnotationsView:
    """Reads the archive's corrections and proposals: for a process that is spawned for it.

    Raises:
        QueueUnusable: the queue cannot be used.
    """
    sessions = open_queue(settings.database)
    with read_only(sessions) as session:
        found = read_annotations(session, settings.data_dir)
        wanted = due_studies(session, settings, found)
    comparisons, unreadable = compare_all(found, settings.data_dir)
    newest = sorted(comparisons, key=lambda comparison: comparison.image.received_at, reverse=True)
    with read_only(sessions) as session:
        shapes = _shapes(session, [comparison.image.image_id for comparison in newest[:MOST_DRAWN]])
    return AnnotationsView(
        annotation_stats(comparisons),
        tuple(_corrected(comparison, shapes.get(comparison.image.image_id)) for comparison in newest),
        tuple(_uncounted(found, unreadable)),
        tuple(wanted),
        settings.review.share,
        now,
    )


def _shapes(session: Session, images: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Rows and columns of the images that were read, by id: only of these there is a picture."""
    rows = session.execute(
        select(Instance.id, Instance.reading).where(Instance.id.in_(images), Instance.reading.is_not(None))
    )
    return {image: (shape[0], shape[1]) for image, reading in rows if (shape := _shape(reading)) is not None}


def _shape(reading: dict[str, object] | None) -> list[int] | None:
    shape = (reading or {}).get("shape")
    return shape if isinstance(shape, list) else None


def _corrected(comparison: Comparison, shape: tuple[int, int] | None) -> CorrectedImage:
    image = comparison.image
    proposed = [*(pair.proposed for pair in comparison.kept), *comparison.removed]
    why = image.proposal_lost or ("" if image.revision is not None else "the node had proposed nothing")
    return CorrectedImage(
        study=image.study_id,
        image=image.image_id,
        laterality=image.laterality,
        view=image.view,
        by=image.creator,
        received_at=image.received_at,
        against=image.revision,
        why=why,
        lesions=len(comparison.drawn),
        dice=tuple(pair.dice for pair in comparison.kept),
        added=len(comparison.added),
        removed=len(comparison.removed),
        shape=shape,
        proposed_outlines=() if shape is None else _outlines(proposed),
        drawn_outlines=() if shape is None else _outlines(comparison.drawn),
    )


def _outlines(segments: Sequence[ReadSegment]) -> tuple[str, ...]:
    return tuple(" ".join(f"{x:.0f},{y:.0f}" for x, y in outline(segment.mask)) for segment in segments)


def _uncounted(found: Annotations, unreadable: Sequence[tuple[AnnotatedImage, str]]) -> Iterator[Uncounted]:
    for other in found.not_counted:
        place = "" if other.image_id is None else f"image {other.image_id}: "
        yield Uncounted(other.study_id, other.received_at, place + other.why)
    for image, why in unreadable:
        yield Uncounted(image.study_id, image.received_at, f"image {image.image_id}: {why}")
