"""Radiologists' BI-RADS categories in the queue: entered, matched with their studies, and told to the report."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.assessments import StatedAssessment
from models.types import Assessment, Category, Laterality
from node.arrivals import IMAGES
from node.assessments.matching import study_for, waiting_for
from node.studies import report_anew
from node.tables import Instance, ReceivedAssessment, Study

log = logging.getLogger(__name__)

ARRIVED = "a radiologist's assessment has come"


def assessments_of(session: Session, study: Study) -> list[Assessment]:
    """What counts for a study: the latest category of each breast and of the exam."""
    rows = session.scalars(select(ReceivedAssessment).where(ReceivedAssessment.study_id == study.id)).all()
    latest = {row.laterality: row for row in in_order(rows)}
    here = set(session.scalars(select(Instance.sop_instance_uid).where(Instance.study_id == study.id)))
    return [
        Assessment(
            laterality=Laterality(row.laterality) if row.laterality else None,
            category=Category(row.category),
            source=row.source,
            sop_instance_uid=row.document if row.source == "SR" and row.document in here else None,
        )
        for _, row in sorted(latest.items(), key=lambda pair: pair[0] or "")
    ]


def in_order(rows: Iterable[ReceivedAssessment]) -> list[ReceivedAssessment]:
    """Those that count last: by when the radiologist said so, or else by when it came."""
    return sorted(rows, key=lambda row: (row.received_at if row.assessed_at is None else row.assessed_at, row.id))


def enter(
    session: Session, stated: Sequence[StatedAssessment], source: str, now: float, *, in_place_of: str | None = None
) -> list[ReceivedAssessment]:
    """Enters what documents state, matches it with studies and asks for reports; the new rows, without what was known.

    Args:
        source: "SR", "HL7" or "CSV".
        now: UTC seconds since the epoch.
        in_place_of: a document that came before and came again otherwise: what it said no longer counts.
    """
    removed = _of_document(session, source, in_place_of) if in_place_of else []
    if removed and {_said(row) for row in removed} == {_said(_row(one, source, now)) for one in stated}:
        return []
    before = {study: _counting(session, study) for row in removed if (study := row.study)}
    for row in removed:
        session.delete(row)
    session.flush()
    entered = []
    for row in (_row(one, source, now) for one in stated):
        if not _is_known(session, row):
            session.add(row)
            session.flush()
            entered.append(row)
    _match(session, entered, before, now)
    return entered


def match_waiting(session: Session, instance: Instance, now: float) -> None:
    """Gives a study the assessments that came before it. Called for each instance that is new or corrected."""
    if instance.kind in IMAGES:
        _match(session, waiting_for(session, instance, instance.study), {}, now)


_Counting = set[tuple[str | None, str]]


def _match(session: Session, rows: Sequence[ReceivedAssessment], before: dict[Study, _Counting], now: float) -> None:
    """Matches rows with studies. Those in which another category counts now than `before` are reported anew, once."""
    changed = dict(before)
    for row in rows:
        study, row.why = study_for(session, row)
        if study is None:
            log.info("assessment %d (%s) waits: %s", row.id, row.source, row.why)
            continue
        changed.setdefault(study, _counting(session, study))
        row.study = study
        session.flush()
        log.info("study %d: assessment %d came by %s", study.id, row.id, row.source)
    for study, counted in changed.items():
        if _counting(session, study) != counted:
            report_anew(session, study, now, ARRIVED)


def _counting(session: Session, study: Study) -> _Counting:
    return {(one.laterality, one.category) for one in assessments_of(session, study)}


def _row(stated: StatedAssessment, source: str, now: float) -> ReceivedAssessment:
    return ReceivedAssessment(
        study_instance_uid=stated.study_instance_uid,
        accession_number=stated.accession_number,
        patient_id=stated.patient_id,
        laterality=stated.laterality,
        category=stated.category,
        source=source,
        document=stated.document,
        assessed_at=stated.assessed_at.timestamp() if stated.assessed_at else None,
        received_at=now,
        why="",
    )


def _is_known(session: Session, row: ReceivedAssessment) -> bool:
    """Whether the newest row of the same document, or the newest of its source about the same, says the same."""
    same_source = select(ReceivedAssessment).where(
        ReceivedAssessment.source == row.source, ReceivedAssessment.laterality.is_not_distinct_from(row.laterality)
    )
    of_document = same_source.where(ReceivedAssessment.document == row.document)
    about_the_same = same_source.where(
        ReceivedAssessment.study_instance_uid == row.study_instance_uid,
        ReceivedAssessment.accession_number == row.accession_number,
        ReceivedAssessment.patient_id == row.patient_id,
    )
    newest = (
        session.scalars(query.order_by(ReceivedAssessment.id.desc()).limit(1)).first()
        for query in (of_document, about_the_same)
    )
    return any(known is not None and _said(known) == _said(row) for known in newest)


def _of_document(session: Session, source: str, document: str) -> Sequence[ReceivedAssessment]:
    return session.scalars(
        select(ReceivedAssessment).where(ReceivedAssessment.source == source, ReceivedAssessment.document == document)
    ).all()


def _said(row: ReceivedAssessment) -> tuple[object, ...]:
    return (
        row.study_instance_uid,
        row.accession_number,
        row.patient_id,
        row.laterality,
        row.category,
        row.assessed_at,
    )
