"""What a new instance means to its study: the transaction's part of receiving, for the network and for files."""

from __future__ import annotations

import logging

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dicom_io.headers import InstanceHeader, InstanceKind
from node.store.states import DeliveryState, JobKind, JobState, StudyState, moved
from node.store.tables import Delivery, Instance, Job, Result, Study

log = logging.getLogger(__name__)

IMAGES = frozenset(
    {
        InstanceKind.FOR_PRESENTATION,
        InstanceKind.FOR_PROCESSING,
        InstanceKind.SECONDARY_CAPTURE,
        InstanceKind.TOMOSYNTHESIS,
        InstanceKind.OTHER_IMAGE,
    }
)
"""Kinds whose arrival opens a study again. Reports and segmentations are kept with it and change nothing."""

_NO_MAMMOGRAM = "an image, but no mammogram"
_SECONDARY_CAPTURE = (
    "secondary capture: read as a mammogram only where the setting reads_secondary_capture of its sender says so"
)
IN_QUARANTINE = "the study is in quarantine"
TWO_PATIENTS = "its instances disagree about the patient's ID or birth date"


def register(
    session: Session,
    header: InstanceHeader,
    transfer_syntax_uid: str,
    path: str,
    source: str,
    now: float,
    reads_secondary_capture: bool,
    left_out: str = "",
) -> Instance:
    """Enters an instance that is not known yet, moves its study and asks for its reading; within a transaction.

    Args:
        path: of the file, relative to the data folder; its bytes and name must be durable before the commit.
        source: the calling AE title, "" for files.
        now: UTC seconds since the epoch.
        reads_secondary_capture: whether secondary captures from this source are mammograms.
        left_out: why it is not to be read, where a route says so.
    """
    study = _study_of(session, header, source, now)
    study.last_received_at = now
    study.decide_at = 0.0
    instance = Instance(
        study=study,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        patient_id=header.patient_id,
        patient_birth_date=header.patient_birth_date,
        accession_number=header.accession_number,
        transfer_syntax_uid=transfer_syntax_uid,
        kind=header.kind,
        laterality=header.laterality,
        view=header.view,
        extent=header.extent,
        no_view=header.no_view,
        path=path,
        received_at=now,
        left_out=bool(left_out) and header.kind in IMAGES,
    )
    session.add(instance)
    session.flush()
    if are_two_patients(session, study):
        quarantine(session, study, TWO_PATIENTS)
    if header.kind in IMAGES:
        reopen(session, study, now, new_image=True)
    instance.unread_reason = left_out if instance.left_out else _unread_reason(study, header, reads_secondary_capture)
    if instance.unread_reason is None and header.kind in (
        InstanceKind.FOR_PRESENTATION,
        InstanceKind.SECONDARY_CAPTURE,
    ):
        ask_for_reading(session, study, instance)
    return instance


def ask_for_reading(session: Session, study: Study, image: Instance) -> None:
    """Puts the reading of an image into the queue, for the study's present revision."""
    session.add(Job(kind=JobKind.READ_IMAGE, study_id=study.id, instance_id=image.id, revision=study.revision))


def are_two_patients(session: Session, study: Study) -> bool:
    """Whether the study's instances disagree about the patient.

    A birth date that is not given contradicts none; an absent ID does.
    """
    stated = session.execute(
        select(Instance.patient_id, Instance.patient_birth_date).where(Instance.study_id == study.id).distinct()
    ).all()
    return len({patient_id for patient_id, _ in stated}) > 1 or len({date for _, date in stated} - {""}) > 1


def reopen(session: Session, study: Study, now: float, *, new_image: bool) -> None:
    """Opens a study for what came late; after a report, as the next revision. One in quarantine stays there.

    Without a `new_image` (a corrected header came) a study that ended as not read stays so: there is no report to mend.
    """
    if study.state is StudyState.CLOSED:
        cancel_reports(session, study)
        go_beyond_notice(study)
    elif study.state is StudyState.REPORTED:
        study.revision += 1
        study.opened_at = now
    elif study.state is StudyState.NOT_READ and new_image:
        study.opened_at = now
    else:
        return
    wait_for_images(study)


def go_beyond_notice(study: Study) -> None:
    """Begins the next revision where the present one told its destinations that its report could not be written."""
    if any(result.revision == study.revision for result in study.results):
        study.revision += 1


def wait_for_images(study: Study) -> None:
    """Puts the study into the state in which it knows nothing yet of when it will be complete."""
    study.state = moved(study.state, StudyState.OPEN)
    study.closed_at = None
    study.decide_at = 0.0
    study.expected_instances = None
    study.why = ""


def quarantine(session: Session, study: Study, why: str) -> None:
    """Holds the study until a person has looked: nothing of it is sent. The first reason stays."""
    if study.state is StudyState.QUARANTINED:
        return
    cancel_reports(session, study)
    study.state = moved(study.state, StudyState.QUARANTINED)
    study.why = why
    log.warning("study %d: in quarantine: %s", study.id, why)


def hold_back_replaced(session: Session, study: Study) -> int:
    """Keeps undelivered results of earlier revisions from leaving, where they said what is wrong; says how many."""
    unsent = session.scalars(
        select(Delivery)
        .join(Delivery.result)
        .where(
            Result.study_id == study.id,
            Result.last_revision < study.revision,
            Delivery.state.in_([DeliveryState.WAITING, DeliveryState.DEAD]),
        )
    ).all()
    for delivery in unsent:
        if delivery.state is DeliveryState.WAITING:
            delivery.state = moved(delivery.state, DeliveryState.DEAD)
        delivery.error = f"replaced by revision {study.revision}"
    return len(unsent)


def cancel_reports(session: Session, study: Study) -> None:
    """Takes back the reports that were asked for and not made, also those that could not be written."""
    session.execute(
        update(Job)
        .where(
            Job.study_id == study.id,
            Job.kind == JobKind.REPORT,
            Job.state.in_([JobState.WAITING, JobState.RUNNING, JobState.FAILED]),
        )
        .values(state=JobState.CANCELLED, worker=None, lease_until=None)
    )


def _study_of(session: Session, header: InstanceHeader, source: str, now: float) -> Study:
    """The instance's study, locked; a new row where it is the first."""
    known = session.scalar(select(Study).where(Study.study_instance_uid == header.study_instance_uid).with_for_update())
    if known is not None:
        return known
    study = Study(
        study_instance_uid=header.study_instance_uid,
        source=source,
        state=StudyState.OPEN,
        why="",
        revision=1,
        first_received_at=now,
        last_received_at=now,
        opened_at=now,
    )
    session.add(study)
    session.flush()
    return study


def not_read_as_it_is(header: InstanceHeader, *, reads_secondary_capture: bool) -> str | None:
    """Why an instance is never read, whatever its study; None where it may be."""
    if header.no_view:
        return header.no_view
    match header.kind:
        case InstanceKind.OTHER_IMAGE:
            return _NO_MAMMOGRAM
        case InstanceKind.SECONDARY_CAPTURE if not reads_secondary_capture:
            return _SECONDARY_CAPTURE
        case InstanceKind.FOR_PRESENTATION | InstanceKind.SECONDARY_CAPTURE | InstanceKind.FOR_PROCESSING:
            return None
        case _:
            return "no image"


def _unread_reason(study: Study, header: InstanceHeader, reads_secondary_capture: bool) -> str | None:
    if header.kind not in IMAGES:
        return None
    against = not_read_as_it_is(header, reads_secondary_capture=reads_secondary_capture)
    return against or (IN_QUARANTINE if study.state is StudyState.QUARANTINED else None)
