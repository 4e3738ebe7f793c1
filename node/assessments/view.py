"""The radiologists' assessments for `birads list`: those that count, wait for their study, or are not used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.instance_kinds import InstanceKind
from node.archive.layout import HL7_REFUSED
from node.assessments.entered import counting
from node.store.tables import Instance, ReceivedAssessment


@dataclass(frozen=True)
class AssessmentView:
    """One assessment. Times are UTC seconds since the epoch.

    Attributes:
        study: the study's id in the queue; None: unmatched, `why` says why.
        counts: whether it counts for its study; others are older, or were corrected.
        withdrawn: whether it was withdrawn or corrected.
    """

    id: int
    study: int | None
    laterality: str | None
    category: str
    source: str
    document: str
    study_instance_uid: str
    accession_number: str
    assessed_at: float | None
    received_at: float
    counts: bool
    withdrawn: bool
    why: str


@dataclass(frozen=True)
class RefusedReport:
    """A structured report whose categories are not used, and why. It is stored with its study."""

    study: int
    instance: int
    why: str


@dataclass(frozen=True)
class AssessmentsView:
    """`refused_messages`: the files of HL7 messages that could not be used."""

    assessments: tuple[AssessmentView, ...]
    refused_reports: tuple[RefusedReport, ...]
    refused_messages: tuple[str, ...]


def view_assessments(session: Session, data_dir: Path) -> AssessmentsView:
    """All assessments, in order of arrival."""
    rows = session.scalars(select(ReceivedAssessment).order_by(ReceivedAssessment.id)).all()
    counts = {row.id for row in counting(rows)}
    refused = session.scalars(
        select(Instance)
        .where(Instance.kind == InstanceKind.REPORT, Instance.refusal.is_not(None))
        .order_by(Instance.id)
    ).all()
    return AssessmentsView(
        assessments=tuple(
            AssessmentView(
                id=row.id,
                study=row.study_id,
                laterality=row.laterality,
                category=row.category,
                source=row.source,
                document=row.document,
                study_instance_uid=row.study_instance_uid,
                accession_number=row.accession_number,
                assessed_at=row.assessed_at,
                received_at=row.received_at,
                counts=row.id in counts,
                withdrawn=row.withdrawn_at is not None,
                why=row.why,
            )
            for row in rows
        ),
        refused_reports=tuple(
            RefusedReport(instance.study_id, instance.id, instance.refusal or "") for instance in refused
        ),
        refused_messages=tuple(sorted(str(path) for path in (data_dir / HL7_REFUSED).glob("*.hl7"))),
    )
