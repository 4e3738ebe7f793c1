"""Radiologists' BI-RADS categories in the queue: entered, matched with their studies, and told to the report."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.types import Assessment, Category, Laterality
from node.arrivals import cancel_reports
from node.states import JobKind, StudyState, moved
from node.tables import Job, ReceivedAssessment, Study

log = logging.getLogger(__name__)


def assessments_of(session: Session, study: Study) -> list[Assessment]:
    """What counts for a study: the latest category of each breast and of the exam."""
    rows = session.scalars(select(ReceivedAssessment).where(ReceivedAssessment.study_id == study.id)).all()
    latest: dict[str | None, ReceivedAssessment] = {}
    for row in sorted(rows, key=lambda row: (row.received_at if row.assessed_at is None else row.assessed_at, row.id)):
        latest[row.laterality] = row
    return [
        Assessment(
            laterality=Laterality(row.laterality) if row.laterality else None,
            category=Category(row.category),
            source=row.source,
            sop_instance_uid=row.document if row.source == "SR" else None,
        )
        for _, row in sorted(latest.items(), key=lambda pair: pair[0] or "")
    ]


def report_anew(session: Session, study: Study, now: float) -> None:
    """Asks for a report that holds what is known by now: as a new revision where there is one already."""
    if study.state is StudyState.REPORTED:
        study.revision += 1
        study.opened_at = now
        study.state = moved(study.state, StudyState.CLOSED)
        study.closed_at = now
    elif study.state is StudyState.CLOSED:
        cancel_reports(session, study)  # one that is being written does not know yet
    else:
        return  # the report is still to come, or there will be none
    study.why = "a radiologist's assessment has come"
    session.add(Job(kind=JobKind.REPORT, study_id=study.id, revision=study.revision))
    log.info("study %d: revision %d: a radiologist's assessment has come", study.id, study.revision)
