"""Enters events of the audit trail, each in the transaction in which it happens: what happened has its event, and what
was rolled back has none. `recorder` writes them into the trail (docs/audit.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from socket import gethostname

from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_io.audit.codes import AUDIT_LOG_USED, INSTANCES_ACCESSED, STUDY_DELETED, URI
from dicom_io.audit.message import Action, AuditedObject, AuditMessage, patient_object, study_object
from node.audit.actors import Actor, this_process
from node.store.tables import AuditEvent, Instance, Study

MESSAGES = TypeAdapter(AuditMessage)
"""To and from the rows."""


def enter(session: Session, message: AuditMessage) -> None:
    """Enters an event."""
    row = MESSAGES.dump_python(message, mode="json")
    session.add(AuditEvent(host=gethostname(), at=message.at, message=row))


def enter_study_deleted(session: Session, study: Study, by: Actor, now: float) -> None:
    """DICOM Study Deleted (PS3.15 section A.5.3.8): all instances of a study were deleted. Its rows are still there."""
    of_study = objects_of(session, study, instances_of(session, study))
    enter(session, AuditMessage(STUDY_DELETED, Action.DELETE, now, (by.participant(),), of_study))


def enter_instances_deleted(
    session: Session, study: Study, sop_classes: Mapping[str, int], by: Actor, now: float
) -> None:
    """DICOM Instances Accessed (section A.5.3.6): some objects of a study were deleted, and others stay.

    Args:
        sop_classes: SOP Class UIDs, and how many objects of each.
    """
    of_study = objects_of(session, study, sop_classes)
    enter(session, AuditMessage(INSTANCES_ACCESSED, Action.DELETE, now, (by.participant(),), of_study))


def enter_log_used(session: Session, folder: Path, by: Actor, now: float) -> None:
    """Audit Log Used (section A.5.3.2): somebody read the trail."""
    log = AuditedObject(folder.as_uri(), URI, "2", "13", "Security Audit Log")
    who = by.participant(), this_process()
    enter(session, AuditMessage(AUDIT_LOG_USED, Action.READ, now, who, (log,)))


def instances_of(session: Session, study: Study) -> dict[str, int]:
    """The SOP Class UIDs of a study's instances, and how many there are of each."""
    counted = select(Instance.sop_class_uid, func.count()).where(Instance.study_id == study.id)
    return dict(session.execute(counted.group_by(Instance.sop_class_uid)).all())


def objects_of(session: Session, study: Study, sop_classes: Mapping[str, int]) -> tuple[AuditedObject, AuditedObject]:
    """A study and its patient, as objects of a message."""
    first = select(Instance.patient_id).where(Instance.study_id == study.id).order_by(Instance.id).limit(1)
    patient_id = session.scalar(first) or ""
    name = f"study {study.id}"  # by which logs know it
    return study_object(study.study_instance_uid, sop_classes.items(), name), patient_object(patient_id)
