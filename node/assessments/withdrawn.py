"""Takes radiologists' BI-RADS categories back: a correction without one, or a person, says that they no longer hold."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from node.assessments.entered import counted_in, report_changed
from node.store.tables import Instance, ReceivedAssessment, Study

log = logging.getLogger(__name__)

WITHDRAWN = "the radiologist's category was withdrawn or corrected"
BY_HAND = "a person"


@dataclass(frozen=True)
class Subject:
    """What a message is about, as it states it; each may be "". `order`: see `StatedAssessment.order`."""

    study_instance_uid: str = ""
    accession_number: str = ""
    order: str = ""


def subjects_of(session: Session, documents: Collection[str]) -> list[Subject]:
    """What the categories of documents are about."""
    rows = session.scalars(select(ReceivedAssessment).where(ReceivedAssessment.document.in_(documents)))
    return [Subject(row.study_instance_uid, row.accession_number, row.order) for row in rows]


def withdraw(session: Session, subjects: Collection[Subject], by: str, now: float) -> list[ReceivedAssessment]:
    """Withdraws all categories of the studies and orders that `subjects` name, also those that wait for their study.
    Studies in which another category counts than before are reported again. Later documents enter categories anew.

    The patient ID is not compared: that a report was the wrong patient's is a frequent reason to take it back.

    Args:
        by: the document that takes them back; what it withdrew before, or stated itself, is not touched.
        now: UTC seconds since the epoch.

    Returns:
        The rows that this document withdrew, now or when it came before.
    """
    rows = _about(session, subjects)
    withdrawn = [row for row in rows if row.withdrawn_by == by != BY_HAND]
    if withdrawn:
        return withdrawn
    standing = [row for row in rows if row.withdrawn_at is None and row.document != by]
    # In the order of their numbers, as everybody locks them.
    studies = [
        session.get_one(Study, number, with_for_update=True)
        for number in sorted({row.study_id for row in standing if row.study_id is not None})
    ]
    before = {study: counted_in(session, study) for study in studies}
    for row in standing:
        row.withdrawn_at, row.withdrawn_by = now, by
        log.info("assessment %d (%s) was withdrawn or corrected", row.id, row.source)
    session.flush()
    report_changed(session, before, now, WITHDRAWN)
    return standing


def _about(session: Session, subjects: Collection[Subject]) -> Sequence[ReceivedAssessment]:
    """All rows of the studies and orders that are named, and those of the same studies and orders as these."""
    uids = {subject.study_instance_uid for subject in subjects} - {""}
    accessions = {subject.accession_number for subject in subjects} - {""}
    orders = {subject.order for subject in subjects} - {""}
    studies = set(session.scalars(select(Study.id).where(Study.study_instance_uid.in_(uids))))
    studies |= set(session.scalars(select(Instance.study_id).where(Instance.accession_number.in_(accessions))))
    named = session.scalars(
        select(ReceivedAssessment).where(
            or_(
                ReceivedAssessment.study_instance_uid.in_(uids),
                ReceivedAssessment.accession_number.in_(accessions),
                ReceivedAssessment.order.in_(orders),
                ReceivedAssessment.study_id.in_(studies),
            )
        )
    ).all()
    studies = {row.study_id for row in named if row.study_id is not None}
    orders = {row.order for row in named} - {""}
    together = select(ReceivedAssessment).where(
        or_(
            ReceivedAssessment.id.in_([row.id for row in named]),
            ReceivedAssessment.study_id.in_(studies),
            ReceivedAssessment.order.in_(orders),
        )
    )
    return session.scalars(together.order_by(ReceivedAssessment.id)).all()
