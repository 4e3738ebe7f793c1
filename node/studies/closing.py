"""What happens to a study between its first image and its report: the database's side of completeness.py."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
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

_AT_ONCE = 50
"""Studies decided in one transaction: enough for its cost not to matter, few enough for it to end soon."""

View = tuple[Laterality, str]
Shown = tuple[str, str, str]
"""Breast, view, and what of it is shown where that is not the whole."""


def close_complete(sessions: Sessions, ladder: Ladder, now: float) -> None:
    """Closes every open study that the ladder says is complete. Decides only those of which something has come since,
    or whose wait is over: the others still wait, as decided the last time."""
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
    """Ends the wait for images: decides which are still to be read and asks for the report.

    A study without a breast image ends here: nothing is sent, and `why` says so.
    """
    begun = readings_begun(session, study)
    if not any(_is_breast_image(instance, begun) for instance in study.instances):
        kinds = sorted({instance.kind for instance in study.instances})
        reasons = (instance.unread_reason for instance in study.instances if instance.left_out or instance.no_view)
        reason = next(filter(None, reasons), None)
        none = f"no breast image among its {counted(len(study.instances), 'instance')}: {', '.join(kinds)}"
        lifecycle.end_unread(study, reason or none)
        return
    choose_raw_images(session, study)
    lifecycle.close(session, study, now)


def choose_raw_images(session: Session, study: Study) -> bool:
    """Whether the reading of a raw image had to be asked for: none of its view can be shown (safety rule 6).

    Done at the close and once more before the report, since an image for presentation may prove unreadable meanwhile.
    """
    begun, shown, asked = readings_begun(session, study), shown_views(study), False
    for raw in study.instances:
        if raw.kind != InstanceKind.FOR_PROCESSING or raw.id in begun or raw.no_view or raw.left_out:
            continue
        if shown_by(raw) in shown:
            raw.leave_unread(Unread.RAW_COPY)
        else:
            raw.leave_unread(None)
            lifecycle.ask_for_reading(session, study, raw)
            asked = True
    return asked


def shown_views(study: Study) -> frozenset[Shown | None]:
    """What is shown by an image for presentation that was read, or may still be."""
    shown = (
        instance
        for instance in study.instances
        if instance.kind == InstanceKind.FOR_PRESENTATION and instance.unread is None
    )
    return frozenset(map(shown_by, shown)) - {None}


def shown_by(instance: Instance) -> Shown | None:
    """What an image shows; None where it is no view of a breast or its header does not say."""
    if instance.no_view or instance.laterality is None or instance.view is None:
        return None
    return instance.laterality, instance.view, instance.extent


def arrived_views(study: Study, begun: Collection[int | None]) -> frozenset[View]:
    """The whole views of which any breast image came, read or not; `begun` as `readings_begun` says."""
    breast = (instance for instance in study.instances if _is_breast_image(instance, begun))
    return frozenset(view for view in map(view_of, breast) if view is not None)


def breasts_of(study: Study, begun: Collection[int | None]) -> frozenset[Laterality]:
    """The breasts of which any image came, read or not; `begun` as `readings_begun` says."""
    images = (
        instance for instance in study.instances if _is_breast_image(instance, begun) and instance.view != SPECIMEN
    )
    return frozenset(instance.laterality for instance in images if instance.laterality)


def view_of(instance: Instance) -> View | None:
    """The standard view whose place an image fills; None where it is no whole view, or its header does not say."""
    if instance.no_view or instance.extent or instance.laterality is None or instance.view is None:
        return None
    return instance.laterality, instance.view


def readings_begun(session: Session, study: Study) -> frozenset[int | None]:
    """The ids of the study's instances for which a reading was asked."""
    return frozenset(session.scalars(select(Job.instance_id).where(Job.study_id == study.id)))


def _is_breast_image(instance: Instance, begun: Collection[int | None]) -> bool:
    if instance.left_out:
        return False
    return instance.kind.is_breast_image or (instance.kind == InstanceKind.SECONDARY_CAPTURE and instance.id in begun)


def _decision(session: Session, study: Study, ladder: Ladder, now: float) -> Wait | Close:
    begun = readings_begun(session, study)
    # Raw images and tomosynthesis often come before the images that are read: their views close nothing early.
    readable = {InstanceKind.FOR_PRESENTATION, InstanceKind.SECONDARY_CAPTURE}
    views = (view_of(instance) for instance in study.instances if instance.kind in readable and instance.id in begun)
    arrivals = Arrivals(
        views=frozenset(view for view in views if view is not None),
        count=len(study.instances),
        # Later revisions would count our own results among what the source holds.
        expected=study.expected_instances if study.revision == 1 else None,
        opened_at=study.opened_at,
        last_at=study.last_received_at,
    )
    return closing(arrivals, ladder, now)
