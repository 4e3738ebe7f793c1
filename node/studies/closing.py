"""Closes complete studies: applies the rules of completeness.py to the database."""

from __future__ import annotations

import logging
from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from dicom_io.instance_kinds import InstanceKind
from dicom_io.views import SPECIMEN
from models.types.mammogram import Laterality
from models.types.words import counted
from node.store.database import Sessions, read_only
from node.store.states import StudyState
from node.store.tables import Instance, Job, Study
from node.store.unread import Unread
from node.studies import lifecycle
from node.studies.completeness import Arrivals, Close, Ladder, Wait, closing
from node.studies.raw_copies import raw_copies

log = logging.getLogger(__name__)

_TRIES_ALIKE = 3
_AT_ONCE = 50
"""Studies per transaction: few enough for it to end soon."""

View = tuple[Laterality, str]


def close_complete(sessions: Sessions, ladder: Ladder, now: float) -> None:
    """Closes every open study that is complete. Checks only studies with a new instance since the last check, or whose
    wait is over."""
    due = select(Study.id).where(Study.state == StudyState.OPEN, Study.decide_at <= now).order_by(Study.id)
    with read_only(sessions) as session:
        ids = session.scalars(due).all()
    for begin in range(0, len(ids), _AT_ONCE):
        with sessions.begin() as session:
            some = select(Study).where(Study.id.in_(ids[begin : begin + _AT_ONCE]), Study.state == StudyState.OPEN)
            images = selectinload(Study.instances).defer(Instance.reading)
            for study in session.scalars(some.order_by(Study.id).with_for_update().options(images)):
                _decide(session, study, ladder, now)


def _decide(session: Session, study: Study, ladder: Ladder, now: float) -> None:
    match _decision(session, study, ladder, now):
        case Wait(why, until):
            study.why = why
            study.decide_at = until
        case Close(why):
            study.why = f"complete: {why}"
            close(session, study, now)


def close(session: Session, study: Study, now: float) -> None:
    """Closes a study: decides which images are still read, and queues the report.

    A study without a breast image ends here: nothing is sent, and `why` says so. One with results, whose images were
    all rejected since, is reported: that nothing of it counts any more.
    """
    begun = readings_begun(session, study)
    counts = any(_is_breast_image(instance, begun) for instance in study.instances)
    if not counts and not study.results:
        kinds = sorted({instance.kind for instance in study.instances})
        reasons = (instance.unread_reason for instance in study.instances if instance.left_out or instance.no_view)
        reason = next(filter(None, reasons), None)
        none = f"no breast image among its {counted(len(study.instances), 'instance')}: {', '.join(kinds)}"
        if not kinds:
            none = "all its images were set aside"
        lifecycle.end_unread(study, reason or none)
        return
    choose_raw_images(session, study)
    lifecycle.close(session, study, now)


def choose_raw_images(session: Session, study: Study) -> bool:
    """Queues the reading of raw images whose exposure has no readable image for presentation (safety rule 6); returns
    whether there were any.

    Called at the close and again before the report, because an image for presentation may prove unreadable meanwhile.
    """
    begun, copies, asked = readings_begun(session, study), raw_copies(study.instances), False
    for raw in study.instances:
        if raw.kind != InstanceKind.FOR_PROCESSING or raw.id in begun or raw.no_view or raw.left_out:
            continue
        if raw.id in copies:
            raw.leave_unread(Unread.RAW_COPY)
        else:
            raw.leave_unread(None)
            lifecycle.ask_for_reading(session, study, raw)
            asked = True
    return asked


def read_purged_again(session: Session, study: Study) -> bool:
    """Queues the reading of images whose masks retention deleted, and whose file is there; returns whether there were
    any. A report that left them out would take their findings back."""
    again = [
        image
        for image in study.instances
        if image.reading is not None and image.masks_path is None and image.purged_at is None
    ]
    for image in again:
        image.reading = image.read_at = None
        lifecycle.ask_for_reading(session, study, image)
    return bool(again)


def read_alike(session: Session, study: Study) -> bool:
    """Queues the reading of images that another bundle read than the one that was read last, or the same at another
    prevalence; returns whether there were any. Scores of different models do not compare, and an exam needs one score.

    Nothing is read if retention has deleted one of them: the scores would still differ, and the report says so. An
    image is read at most `_TRIES_ALIKE` times for a revision, so that two readers with different bundles end.
    """
    copies = raw_copies(study.instances)
    read = [
        image for image in study.instances if image.reading is not None and not image.no_view and image.id not in copies
    ]
    if not read:
        return False
    by = _read_by(max(read, key=lambda image: (image.read_at or 0.0, image.id)))
    others = [image for image in read if _read_by(image) != by]
    if any(image.purged_at is not None or _times_read(session, study, image) >= _TRIES_ALIKE for image in others):
        return False
    for image in others:
        log.info("study %d: image %d is read again: another bundle or prevalence read it", study.id, image.id)
        image.reading = image.read_at = image.masks_path = None
        lifecycle.ask_for_reading(session, study, image)
    return bool(others)


def _read_by(image: Instance) -> tuple[object, object]:
    """The bundle and the prevalence of its reading."""
    reading = image.reading or {}
    return reading.get("bundle"), reading.get("prevalence")


def _times_read(session: Session, study: Study, image: Instance) -> int:
    of_image = (Job.instance_id == image.id, Job.revision == study.revision)
    return session.scalar(select(func.count()).select_from(Job).where(*of_image)) or 0


def arrived_views(study: Study, begun: Collection[int | None]) -> frozenset[View]:
    """The whole views with any breast image, read or not, also one that a route leaves out, but none that was rejected;
    `begun`: see `readings_begun`."""
    there = (instance for instance in study.instances if instance.unread is not Unread.REJECTED)
    breast = (instance for instance in there if instance.left_out or _is_breast_image(instance, begun))
    return frozenset(view for view in map(view_of, breast) if view is not None)


def breasts_of(study: Study, begun: Collection[int | None]) -> frozenset[Laterality]:
    """The breasts with any image, read or not; `begun`: see `readings_begun`."""
    images = (
        instance for instance in study.instances if _is_breast_image(instance, begun) and instance.view != SPECIMEN
    )
    return frozenset(instance.laterality for instance in images if instance.laterality)


def view_of(instance: Instance) -> View | None:
    """The standard view that an image shows; None if it is no whole view, or its header does not state it."""
    if instance.no_view or instance.extent or instance.laterality is None or instance.view is None:
        return None
    return instance.laterality, instance.view


def readings_begun(session: Session, study: Study) -> frozenset[int | None]:
    """The ids of the study's instances whose reading was queued."""
    return frozenset(session.scalars(select(Job.instance_id).where(Job.study_id == study.id)))


def _is_breast_image(instance: Instance, begun: Collection[int | None]) -> bool:
    if instance.left_out:
        return False
    return instance.kind.is_breast_image or (instance.kind == InstanceKind.SECONDARY_CAPTURE and instance.id in begun)


def _decision(session: Session, study: Study, ladder: Ladder, now: float) -> Wait | Close:
    begun = readings_begun(session, study)
    # Raw images and tomosynthesis often arrive before the images that are read: they do not complete the views.
    displayed = (instance for instance in study.instances if instance.kind.is_for_display and not instance.left_out)
    views = (view_of(instance) for instance in displayed if instance.id in begun)
    arrivals = Arrivals(
        views=frozenset(view for view in views if view is not None),
        count=len(study.instances),
        # In later revisions, the source's count may include the node's own results.
        expected=study.expected_instances if study.revision == 1 else None,
        opened_at=study.opened_at,
        last_at=study.last_received_at,
    )
    return closing(arrivals, ladder, now)
