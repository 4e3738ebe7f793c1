"""Enters events of the audit trail, each in the transaction in which it happens: what happened has its event, and what
was rolled back has none. `recorder` writes them into the trail (docs/audit.md).

Here are those about studies; `security_events` has the others.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from socket import gethostname

from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_io.audit.codes import (
    BEGIN_TRANSFERRING,
    DESTINATION,
    DESTINATION_MEDIA,
    EXPORT,
    INSTANCES_ACCESSED,
    INSTANCES_TRANSFERRED,
    PATIENT_RECORD,
    QUERY,
    SEARCH_CRITERIA,
    SOURCE,
    STUDY_DELETED,
    URI_MEDIA,
    Coded,
)
from dicom_io.audit.message import (
    Action,
    AuditedObject,
    AuditMessage,
    Outcome,
    Participant,
    patient_object,
    study_object,
)
from dicom_io.audit.size import fitting
from node.audit.actors import Actor, dicom_application, this_process
from node.store.tables import AuditEvent, Instance, ReceivedAssessment, Study

MESSAGES = TypeAdapter(AuditMessage)
"""To and from the rows."""
_STUDIES_AT_ONCE = 30
_AFFECTED = "study {}"
"""By which logs know a study."""


def enter(session: Session, message: AuditMessage) -> None:
    """Enters an event; as several where no receiver could take its message (dicom_io/audit/size.py)."""
    for part in fitting(message):
        row = MESSAGES.dump_python(part, mode="json")
        session.add(AuditEvent(host=gethostname(), at=part.at, message=row))


@dataclass(frozen=True)
class Sender:
    """A DICOM application that sent an instance to the node, which has the AE title `called`. `user`: for whom it did
    (User Identity Negotiation), or ""."""

    ae_title: str
    address: str
    called: str
    user: str = ""


@dataclass(frozen=True)
class Arrived:
    """An instance that came, as its header states it. `number`: of its study in the database; None: it has none."""

    study_instance_uid: str
    patient_id: str
    sop_class_uid: str
    number: int | None


def enter_received(
    session: Session, instance: Arrived, sender: Sender, action: Action, now: float, why: str = "", said: str = ""
) -> None:
    """DICOM Instances Transferred (PS3.15 section A.5.3.7): an instance came.

    Args:
        action: CREATE: it is new; UPDATE: it changes the one that is here; READ: it is here already, unchanged.
        why: it was not taken as it is, in words.
        said: what it says of others (a rejection note), in words.
    """
    name = "" if instance.number is None else _AFFECTED.format(instance.number)
    of_study = study_object(instance.study_instance_uid, [(instance.sop_class_uid, 1)], name)
    who = (
        dicom_application(sender.ae_title, sender.address, SOURCE, is_requestor=True),
        this_process(DESTINATION, ae_title=sender.called),
        *([Participant(sender.user, is_requestor=True, address=sender.address)] if sender.user else []),
    )
    about = of_study, patient_object(instance.patient_id)
    outcome = Outcome.SERIOUS if why else Outcome.SUCCESS
    enter(session, AuditMessage(INSTANCES_TRANSFERRED, action, now, who, about, outcome=outcome, why=why or said))


def enter_stored(session: Session, instance: Arrived, by: Actor, now: float) -> None:
    """DICOM Instances Transferred: a program stored an instance by HTTP. The listener, to which it was handed, enters
    that it came from the node itself."""
    about = (
        study_object(instance.study_instance_uid, [(instance.sop_class_uid, 1)]),
        patient_object(instance.patient_id),
    )
    who = by.participant(SOURCE), this_process(DESTINATION)
    enter(session, AuditMessage(INSTANCES_TRANSFERRED, Action.CREATE, now, who, about))


@dataclass(frozen=True)
class Recipient:
    """Who gets results.

    Attributes:
        name: an AE title, or the destination's name in the settings.
        address: its host, or its URL.
        calling: the node's AE title, where it sends by DICOM; "" for DICOMweb.
        exports: it gets them in another form than DICOM objects: an export (PS3.15 section A.5.3.4).
    """

    name: str
    address: str
    calling: str = ""
    exports: bool = False

    def participant(self, *roles: Coded) -> Participant:
        if self.calling:
            return dicom_application(self.name, self.address, *roles)
        return Participant(self.name, roles=roles, address=self.address)


def enter_sending(session: Session, study: Study, to: Recipient, sop_classes: Mapping[str, int], now: float) -> None:
    """Begin Transferring DICOM Instances (section A.5.3.3): results are going to be sent. Of an export there is no such
    event."""
    if not to.exports:
        who = this_process(SOURCE, ae_title=to.calling, is_requestor=True), to.participant(DESTINATION)
        about = objects_of(session, study, sop_classes)
        enter(session, AuditMessage(BEGIN_TRANSFERRING, Action.EXECUTE, now, who, about))


def enter_sent(
    session: Session, study: Study, to: Recipient, sop_classes: Mapping[str, int], now: float, why: str = ""
) -> None:
    """DICOM Instances Transferred (section A.5.3.7), or Export (A.5.3.4): results were sent.

    Args:
        why: they were not, and are given up, in words.
    """
    about = objects_of(session, study, sop_classes)
    outcome = Outcome.SERIOUS if why else Outcome.SUCCESS
    source = this_process(SOURCE, ae_title=to.calling, is_requestor=True)
    if to.exports:
        media = Participant(to.name, roles=(DESTINATION_MEDIA,), address=to.address, media=URI_MEDIA)
        message = AuditMessage(EXPORT, Action.READ, now, (source, media), about, outcome=outcome, why=why)
    else:
        who = source, to.participant(DESTINATION)
        message = AuditMessage(INSTANCES_TRANSFERRED, Action.READ, now, who, about, outcome=outcome, why=why)
    enter(session, message)


def enter_retrieved(session: Session, study: Study, by: Actor, sop_classes: Mapping[str, int], now: float) -> None:
    """DICOM Instances Transferred: a program took results by HTTP."""
    who = this_process(SOURCE), by.participant(DESTINATION)
    about = objects_of(session, study, sop_classes)
    enter(session, AuditMessage(INSTANCES_TRANSFERRED, Action.READ, now, who, about))


def enter_accessed(
    session: Session, study: Study, by: Actor, action: Action, now: float, kind: Coded | None = None
) -> None:
    """DICOM Instances Accessed (section A.5.3.6): somebody saw a study's images, or did something to the study.

    Args:
        kind: what, if there is a code for it.
    """
    kinds = () if kind is None else (kind,)
    about = objects_of(session, study, instances_of(session, study))
    who = by.participant(), this_process()
    enter(session, AuditMessage(INSTANCES_ACCESSED, action, now, who, about, kinds))


def enter_study_deleted(session: Session, study: Study, by: Actor, now: float) -> None:
    """DICOM Study Deleted (section A.5.3.8): all instances of a study were deleted. Its rows are still there."""
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


def enter_query(session: Session, by: Actor, service: str, criteria: str, now: float) -> None:
    """Query (section A.5.3.10): somebody searched for studies here.

    Args:
        service: the address that was asked, without the criteria.
        criteria: what was searched for.
    """
    searched = search_of(service, criteria)
    who = by.participant(SOURCE), this_process(DESTINATION)
    enter(session, AuditMessage(QUERY, Action.EXECUTE, now, who, (searched,)))


def enter_asked(session: Session, by: Actor, source: Recipient, query: AuditedObject, now: float) -> None:
    """Query: somebody had the node ask a source of studies."""
    issues = this_process(SOURCE, ae_title=source.calling)
    who = issues, source.participant(DESTINATION), by.participant()
    enter(session, AuditMessage(QUERY, Action.EXECUTE, now, who, (query,)))


def enter_fetched(session: Session, study: Study, by: Actor, source: Recipient, now: float) -> None:
    """DICOM Instances Transferred: somebody had the node fetch a study from a source."""
    who = source.participant(SOURCE), this_process(DESTINATION, ae_title=source.calling), by.participant()
    about = objects_of(session, study, instances_of(session, study))
    enter(session, AuditMessage(INSTANCES_TRANSFERRED, Action.CREATE, now, who, about))


def enter_assessed(
    session: Session, rows: Sequence[ReceivedAssessment], source: Participant, now: float, message: str = ""
) -> None:
    """Patient Record (section A.5.3.13): radiologists' categories of patients were entered. One event for each patient.

    Args:
        source: who sent them.
        message: the control ID of the HL7 message (MSH-10), which IHE has in its audit messages; "": it was none.
    """
    who = source, this_process(DESTINATION)
    details = (("MSH-10", message),) if message else ()
    for patient in sorted({row.patient_id or _patient_of(session, row.study_id) for row in rows}):
        about = replace(patient_object(patient), details=details)
        enter(session, AuditMessage(PATIENT_RECORD, Action.UPDATE, now, who, (about,)))


def search_of(service: str, criteria: str) -> AuditedObject:
    """A search that is no C-FIND, as an object of a message.

    Args:
        service: the address that was asked, without the criteria.
    """
    query = b64encode(criteria.encode("utf-8", "replace")).decode()
    return AuditedObject(service, SEARCH_CRITERIA, "2", "3", query=query)


def enter_export(session: Session, studies: Collection[int], to: Path, by: Actor, now: float) -> None:
    """Export (section A.5.3.4): somebody writes studies into a folder. Several events for many studies.

    Args:
        studies: their numbers.
    """
    media = Participant(to.absolute().as_uri(), roles=(DESTINATION_MEDIA,), address=gethostname(), media=URI_MEDIA)
    who = by.participant(SOURCE), this_process(SOURCE), media
    for some in _some_at_once(sorted({*studies})):
        query = select(Study.study_instance_uid, Instance.patient_id).join(Instance.study)
        found = session.execute(query.where(Study.id.in_(some)).distinct()).all()
        about = [study_object(uid) for uid in sorted({uid for uid, _ in found})]
        about += [patient_object(patient) for patient in sorted({patient for _, patient in found})]
        enter(session, AuditMessage(EXPORT, Action.READ, now, who, tuple(about)))


def _some_at_once(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), _STUDIES_AT_ONCE):
        yield numbers[start : start + _STUDIES_AT_ONCE]


def instances_of(session: Session, study: Study) -> dict[str, int]:
    """The SOP Class UIDs of a study's instances, and how many there are of each."""
    counted = select(Instance.sop_class_uid, func.count()).where(Instance.study_id == study.id)
    return dict(session.execute(counted.group_by(Instance.sop_class_uid)).all())


def objects_of(session: Session, study: Study, sop_classes: Mapping[str, int]) -> tuple[AuditedObject, AuditedObject]:
    """A study and its patient, as objects of a message."""
    return (
        study_object(study.study_instance_uid, sop_classes.items(), _AFFECTED.format(study.id)),
        patient_object(_patient_of(session, study.id)),
    )


def _patient_of(session: Session, study_id: int | None) -> str:
    """The patient's ID as a study's first instance states it; "" if there is none."""
    first = select(Instance.patient_id).where(Instance.study_id == study_id).order_by(Instance.id).limit(1)
    return session.scalar(first) or ""
