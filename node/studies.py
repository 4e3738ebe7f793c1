"""What happens to a study between its first image and its report: the database's side of closing.py."""

from __future__ import annotations

import logging
from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from dicom_io.headers import InstanceKind
from models.types import Laterality
from node.closing import Arrivals, Close, Ladder, closing
from node.database import Sessions
from node.states import JobKind, StudyState, moved
from node.tables import Instance, Job, Result, Study

log = logging.getLogger(__name__)

BREAST_IMAGES = frozenset({InstanceKind.FOR_PRESENTATION, InstanceKind.FOR_PROCESSING, InstanceKind.TOMOSYNTHESIS})
"""Kinds that make a study a mammography study; a secondary capture does where its sender's setting has it read."""


def close_complete(sessions: Sessions, ladder: Ladder, now: float) -> None:
    """Closes every open study that the ladder says is complete, each in a transaction of its own."""
    with sessions.begin() as session:
        open_ids = session.scalars(select(Study.id).where(Study.state == StudyState.OPEN)).all()
    for study_id in open_ids:
        with sessions.begin() as session:
            study = session.get_one(Study, study_id, with_for_update=True, options=[selectinload(Study.instances)])
            if study.state is not StudyState.OPEN:
                continue
            decision = closing(_arrivals(session, study), ladder, now)
            study.why = decision.why
            if isinstance(decision, Close):
                close(session, study, now)


def close(session: Session, study: Study, now: float) -> None:
    """Ends the wait for images: decides which are still to be read and asks for the report.

    A study without a breast image ends here: nothing is sent, and `why` says so.
    """
    begun = readings_begun(session, study)
    if not any(_is_breast_image(instance, begun) for instance in study.instances):
        kinds = sorted({instance.kind for instance in study.instances})
        study.state = moved(study.state, StudyState.NOT_READ)
        study.why = f"no breast image among its {len(study.instances)} instance(s): {', '.join(kinds)}"
        log.info("study %d: not read: %s", study.id, study.why)
        return
    _choose_raw_images(session, study, begun)
    study.state = moved(study.state, StudyState.CLOSED)
    study.closed_at = now
    session.add(Job(kind=JobKind.REPORT, study_id=study.id, revision=study.revision))
    log.info("study %d: revision %d closed: %s", study.id, study.revision, study.why)


def views_of(study: Study, begun: Collection[int | None]) -> frozenset[tuple[Laterality, str]]:
    """(laterality, view) of the study's full-field breast images, read or not; `begun` as `readings_begun` says."""
    return frozenset(
        (Laterality(instance.laterality), instance.view)
        for instance in study.instances
        if _is_breast_image(instance, begun) and instance.full_field and instance.laterality and instance.view
    )


def readings_begun(session: Session, study: Study) -> frozenset[int | None]:
    """The ids of the study's instances for which a reading was asked."""
    return frozenset(session.scalars(select(Job.instance_id).where(Job.study_id == study.id)))


def _is_breast_image(instance: Instance, begun: Collection[int | None]) -> bool:
    return instance.kind in BREAST_IMAGES or (instance.kind == InstanceKind.SECONDARY_CAPTURE and instance.id in begun)


def _choose_raw_images(session: Session, study: Study, begun: Collection[int | None]) -> None:
    """A raw image is read only where its view has no image for presentation (safety rule 6)."""
    shown = {(i.laterality, i.view) for i in study.instances if i.kind == InstanceKind.FOR_PRESENTATION}
    for raw in study.instances:
        if raw.kind != InstanceKind.FOR_PROCESSING or raw.id in begun:
            continue
        if (raw.laterality, raw.view) in shown:
            raw.unread_reason = "raw image: the image for presentation of the same view was read instead"
        else:
            session.add(Job(kind=JobKind.READ_IMAGE, study_id=study.id, instance_id=raw.id, revision=study.revision))


def _arrivals(session: Session, study: Study) -> Arrivals:
    ours = session.scalar(select(func.count()).select_from(Result).where(Result.study_id == study.id)) or 0
    return Arrivals(
        views=views_of(study, readings_begun(session, study)),
        count=len(study.instances) + ours,
        expected=study.expected_instances,
        opened_at=study.opened_at,
        last_at=study.last_received_at,
    )
