"""Stores radiologists' BI-RADS categories, matches them with studies, and selects those that count for a report."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.assessments import StatedAssessment
from models.types.birads import Assessment, AssessmentSource
from node.assessments.matching import study_for, touched_by
from node.store.tables import Instance, ReceivedAssessment, Study
from node.studies.lifecycle import report_anew

log = logging.getLogger(__name__)

ARRIVED = "a radiologist's assessment has come"


def assessments_of(session: Session, study: Study) -> list[Assessment]:
    """The assessments that count for a study: see `counting`."""
    orders = select(ReceivedAssessment.order).where(
        ReceivedAssessment.study_id == study.id, ReceivedAssessment.order != ""
    )
    rows = session.scalars(
        select(ReceivedAssessment).where(
            (ReceivedAssessment.study_id == study.id) | ReceivedAssessment.order.in_(orders)
        )
    ).all()
    latest = {row.laterality: row for row in counting(rows) if row.study_id == study.id}
    here = set(session.scalars(select(Instance.sop_instance_uid).where(Instance.study_id == study.id)))
    return [
        Assessment(
            laterality=row.laterality,
            category=row.category,
            source=row.source,
            sop_instance_uid=row.document if row.source is AssessmentSource.SR and row.document in here else None,
        )
        for _, row in sorted(latest.items(), key=lambda pair: pair[0] or "")
    ]


def was_withdrawn(session: Session, study: Study) -> bool:
    """Whether a study's categories were withdrawn or corrected, and none that counts was entered since."""
    taken_back = select(ReceivedAssessment.id).where(
        ReceivedAssessment.study_id == study.id, ReceivedAssessment.withdrawn_at.is_not(None)
    )
    return session.scalar(taken_back.limit(1)) is not None and not assessments_of(session, study)


def counting(rows: Iterable[ReceivedAssessment]) -> list[ReceivedAssessment]:
    """The assessments that count: of several the latest, by assessment time, else by arrival; none that was withdrawn.

    Of the documents of one order (`rows` holds all of these) the newest counts, also where it moves a category to the
    other breast or to another study. Of each breast and of the exam the latest counts. An assessment of the exam does
    not count beside later ones of breasts, nor one of a breast beside a later one of the exam, unless they are of one
    document.
    """
    latest = {(row.study_id, row.laterality): (place, row) for place, row in enumerate(_standing(rows)) if row.study_id}
    return [
        row
        for place, row in latest.values()
        if not any(
            other.study_id == row.study_id
            and (other.laterality is None) is not (row.laterality is None)
            and later > place
            and _document_of(other) != _document_of(row)
            for later, other in latest.values()
        )
    ]


def _standing(rows: Iterable[ReceivedAssessment]) -> list[ReceivedAssessment]:
    """The rows that were not withdrawn, and that no later document about their order replaced; the latest last."""
    held = [row for row in rows if row.withdrawn_at is None]
    ordered = sorted(held, key=lambda row: (row.received_at if row.assessed_at is None else row.assessed_at, row.id))
    newest = {row.order: row.document for row in ordered if row.order}
    return [row for row in ordered if newest.get(row.order, row.document) == row.document]


def _document_of(row: ReceivedAssessment) -> object:
    """A key that rows of one document have in common; all rows of a table have the same."""
    return row.received_at if row.source is AssessmentSource.CSV else row.document


def enter(
    session: Session,
    stated: Sequence[StatedAssessment],
    source: AssessmentSource,
    now: float,
    *,
    in_place_of: Collection[str] = (),
) -> list[ReceivedAssessment]:
    """Stores assessments, matches them with studies and queues reports; returns the new rows, without known ones.

    Args:
        source: how they were received.
        now: UTC seconds since the epoch.
        in_place_of: earlier documents that these replace: their assessments no longer count.
    """
    removed = _of_documents(session, source, in_place_of)
    rows = [_row(assessment, source, now) for assessment in stated]
    if removed and {(row.document, *_content(row)) for row in removed} == {
        (row.document, *_content(row)) for row in rows
    }:
        return []
    corrected = _of_orders(session, {assessment.order for assessment in stated} - {""})
    before = {study: counted_in(session, study) for row in (*removed, *corrected) if (study := row.study)}
    for row in removed:
        session.delete(row)
    session.flush()
    entered = []
    standing, stated_now = _by_order(_standing(corrected)), _by_order(rows)
    for row in rows:
        if not _is_known(session, row) and (not row.order or standing.get(row.order) != stated_now[row.order]):
            session.add(row)
            session.flush()
            entered.append(row)
    _match(session, entered, before, now)
    return entered


def match_again(session: Session, instance: Instance, now: float) -> None:
    """Matches waiting assessments with a study, and unmatches those that are no longer certain. Called for each new or
    corrected instance."""
    if instance.kind.is_image:
        _match(session, touched_by(session, instance), {}, now)


Counted = tuple[frozenset[tuple[str | None, str]], bool]
"""What a report says of a study: the categories that count by breast, and whether they were withdrawn."""


def _match(session: Session, rows: Sequence[ReceivedAssessment], before: dict[Study, Counted], now: float) -> None:
    """Matches or unmatches rows with studies. Studies in which another category counts than `before` are reported
    again, once."""
    changed = dict(before)
    for row in rows:
        study, row.why = study_for(session, row)
        if study is None:
            log.info("assessment %d (%s) waits: %s", row.id, row.source, row.why)
        elif study is not row.study:
            log.info("study %d: assessment %d came by %s", study.id, row.id, row.source)
        if study is row.study:
            continue
        for affected in (row.study, study):
            if affected is not None:
                changed.setdefault(affected, counted_in(session, affected))
        row.study = study
        session.flush()
    report_changed(session, changed, now, ARRIVED)


def report_changed(session: Session, before: Mapping[Study, Counted], now: float, why: str) -> None:
    """Reports the studies again in which something else counts than `before`."""
    for study, counted in before.items():
        if counted_in(session, study) != counted:
            report_anew(session, study, now, why)


def counted_in(session: Session, study: Study) -> Counted:
    """What a report says of a study's categories."""
    stated = assessments_of(session, study)
    return frozenset((each.laterality, each.category) for each in stated), was_withdrawn(session, study)


def _row(stated: StatedAssessment, source: AssessmentSource, now: float) -> ReceivedAssessment:
    return ReceivedAssessment(
        study_instance_uid=stated.study_instance_uid,
        accession_number=stated.accession_number,
        patient_id=stated.patient_id,
        laterality=stated.laterality,
        category=stated.category,
        source=source,
        document=stated.document,
        order=stated.order,
        assessed_at=stated.assessed_at.timestamp() if stated.assessed_at else None,
        received_at=now,
        why="",
    )


def _is_known(session: Session, row: ReceivedAssessment) -> bool:
    """Whether the newest row of the same document, or of the same source about the same breast, is equal.

    Rows of an order are compared with all its latest rows (`enter`). What was withdrawn is entered anew by another
    document; the same document again adds nothing.
    """
    same_source = select(ReceivedAssessment).where(
        ReceivedAssessment.source == row.source, ReceivedAssessment.laterality.is_not_distinct_from(row.laterality)
    )
    of_document = same_source.where(ReceivedAssessment.document == row.document)
    about_the_same = same_source.where(
        ReceivedAssessment.study_instance_uid == row.study_instance_uid,
        ReceivedAssessment.accession_number == row.accession_number,
        ReceivedAssessment.patient_id == row.patient_id,
        ReceivedAssessment.withdrawn_at.is_(None),
    )
    newest = (
        session.scalars(query.order_by(ReceivedAssessment.id.desc()).limit(1)).first()
        for query in ((of_document,) if row.order else (of_document, about_the_same))
    )
    return any(known is not None and _content(known) == _content(row) for known in newest)


def _of_documents(
    session: Session, source: AssessmentSource, documents: Collection[str]
) -> Sequence[ReceivedAssessment]:
    return session.scalars(
        select(ReceivedAssessment).where(
            ReceivedAssessment.source == source, ReceivedAssessment.document.in_(documents)
        )
    ).all()


def _of_orders(session: Session, orders: Collection[str]) -> Sequence[ReceivedAssessment]:
    return session.scalars(select(ReceivedAssessment).where(ReceivedAssessment.order.in_(orders))).all()


def _by_order(rows: Iterable[ReceivedAssessment]) -> dict[str, set[tuple[object, ...]]]:
    """The content of the rows of each order."""
    by_order: dict[str, set[tuple[object, ...]]] = {}
    for row in rows:
        by_order.setdefault(row.order, set()).add(_content(row))
    return by_order


def _content(row: ReceivedAssessment) -> tuple[object, ...]:
    return (
        row.study_instance_uid,
        row.accession_number,
        row.patient_id,
        row.laterality,
        row.category,
        row.assessed_at,
    )
