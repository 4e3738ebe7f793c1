"""Why a study that is old enough is kept nevertheless: what retention never deletes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import String, and_, cast, exists, or_, select
from sqlalchemy.orm import Session

from config.settings import Settings
from node.peers import committing
from node.retention.rules import Part
from node.store.states import DeliveryState, JobState, StudyState
from node.store.tables import Annotation, Delivery, Instance, Job, Result, Study

AT_WORK = "images or reports of it are waiting, being worked on or could not be written"
CORRECTED = "a person corrected it, or drew in it"
NOT_DELIVERED = "not every result is delivered"
NOT_COMMITTED = "a destination that is asked for commitment has not committed"
NOT_SENT_ANYWHERE = "a result was never sent anywhere, so this is its only copy"
NOT_COPIED = "not every file is copied to the second place (archive.copy_to)"
NOT_TAKEN_BACK = "replaced results are not taken back yet"
_AT_ONCE = 100
"""Conditions in one query."""


@dataclass(frozen=True)
class Keeping:
    """Says why a study is kept.

    Attributes:
        committing: the destinations that are asked for commitment.
        rejecting: those that get rejection notes.
        copying: whether received files are copied to a second place.
    """

    committing: Collection[str]
    rejecting: Collection[str]
    copying: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Keeping:
        rejecting = {to.name for to in settings.destinations if getattr(to, "rejection_notes", False)}
        copying = settings.archive.copy_to is not None
        return cls({to.name for to in committing(settings)}, rejecting, copying)

    def why(self, session: Session, study: Study, part: Part) -> str:
        """One of the reasons of this file, or "": the part may go."""
        if study.state in (StudyState.OPEN, StudyState.CLOSED) or _is_at_work(session, study):
            return AT_WORK
        if part is Part.IMAGES and self.copying and _is_uncopied(session, study):
            return NOT_COPIED
        if why := self._undelivered(session, study):
            return why
        if part is Part.RESULTS and _is_only_copy(session, study):
            return NOT_SENT_ANYWHERE
        if part is not Part.READINGS and self._is_not_taken_back(session, study):
            return NOT_TAKEN_BACK
        return CORRECTED if _is_corrected(session, study) else ""  # last, because it looks at all segmentations

    def _undelivered(self, session: Session, study: Study) -> str:
        deliveries = select(Delivery.id).join(Delivery.result).where(Result.study_id == study.id)
        given_up = and_(Delivery.state == DeliveryState.DEAD, Result.last_revision == study.revision)
        if _any(session, deliveries.where(or_(Delivery.state == DeliveryState.WAITING, given_up))):
            return NOT_DELIVERED
        committed = or_(Delivery.state != DeliveryState.SENT, Delivery.destination.not_in(self.committing))
        if _any(session, deliveries.where(or_(Delivery.state == DeliveryState.UNCOMMITTED, ~committed))):
            return NOT_COMMITTED
        return ""

    def _is_not_taken_back(self, session: Session, study: Study) -> bool:
        """Whether a rejection note is still to be written, which needs the file of each replaced result, and every
        image (node/delivery/rejection.py)."""
        replaced = (
            select(Delivery.id)
            .join(Delivery.result)
            .where(
                Result.study_id == study.id,
                Result.last_revision < study.revision,
                Result.purged_at.is_(None),
                Delivery.destination.in_(self.rejecting),
                Delivery.state.in_((DeliveryState.SENT, DeliveryState.COMMITTED)),
                Delivery.rejected_by_id.is_(None),
            )
        )
        return _any(session, replaced)


def _any(session: Session, query: object) -> bool:
    return session.execute(query.limit(1)).first() is not None  # type: ignore[attr-defined]  # any SELECT


def _is_at_work(session: Session, study: Study) -> bool:
    unfinished = Job.state.in_([JobState.WAITING, JobState.RUNNING])
    return _any(session, select(Job.id).where(Job.study_id == study.id, unfinished))


def _is_only_copy(session: Session, study: Study) -> bool:
    sent = exists().where(Delivery.result_id == Result.id)
    current = select(Result.id).where(Result.study_id == study.id, Result.last_revision == study.revision)
    return _any(session, current.where(~sent))


def _is_uncopied(session: Session, study: Study) -> bool:
    uncopied = Instance.copied_at.is_(None), Instance.purged_at.is_(None)
    return _any(session, select(Instance.id).where(Instance.study_id == study.id, *uncopied))


def _is_corrected(session: Session, study: Study) -> bool:
    """Whether a segmentation by a person is in the study, or names an image of it, as the rows say now.

    One that is said to be automatic counts too if it names a person or what it was made from: it may be a result of the
    node that was corrected, also of a bundle that the node no longer reads with.
    """
    by_a_person = or_(
        cast(Annotation.automatic_by, String) == "[]",
        Annotation.creator != "",
        cast(Annotation.predecessors, String) != "[]",
    )
    made = select(Annotation.id).where(by_a_person)
    if _any(session, made.join(Annotation.instance).where(Instance.study_id == study.id)):
        return True
    named = cast(Annotation.images, String)
    uids = session.scalars(select(Instance.sop_instance_uid).where(Instance.study_id == study.id)).all()
    for start in range(0, len(uids), _AT_ONCE):
        some = uids[start : start + _AT_ONCE]
        if _any(session, made.where(or_(*(named.contains(f'"{uid}"') for uid in some)))):
            return True
    return False
