"""Every change of a study's state, from its first instance to its last revision.

`node.store.states` lists the allowed transitions; no other file sets a study's state. Each function works within the
caller's transaction, on a study that the caller has locked. Times are UTC seconds since the epoch.
"""

from __future__ import annotations

import logging
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dicom_io.patient_identity import StatedPatient, contradiction
from node.store.events import StudyEvent, tell
from node.store.states import JobKind, JobState, StudyState, moved, moving
from node.store.tables import Instance, Job, Study
from node.store.urgency import Urgency

log = logging.getLogger(__name__)


class Contradiction(StrEnum):
    """Why a study is held in quarantine: a sentence for `status` and for the sender, without patient data."""

    TWO_PATIENTS = "its instances disagree about the patient: ID, its issuer, birth date, or without an ID the name"
    OTHER_PIXELS = "an instance of it came again with other pixels"
    OTHER_KIND = "an instance of it came again as another kind of object"
    OTHER_STUDY = "an instance of it came again under another study"


def locked_study(session: Session, study_instance_uid: str, source: str, now: float, urgency: Urgency | None) -> Study:
    """The study of a received instance, locked; a new open study if it is the first instance.

    Args:
        source: the calling AE title of a new study, "" for files.
        urgency: that the instance states (`raise_urgency`); None: a new study is ROUTINE, a known one stays so.
    """
    known = session.scalar(select(Study).where(Study.study_instance_uid == study_instance_uid).with_for_update())
    if known is not None:
        if urgency is not None:
            raise_urgency(session, known, urgency)
        return known
    study = Study(
        study_instance_uid=study_instance_uid,
        source=source,
        state=StudyState.OPEN,
        why="",
        revision=1,
        first_received_at=now,
        last_received_at=now,
        opened_at=now,
        urgency=Urgency.ROUTINE if urgency is None else urgency,
    )
    session.add(study)
    session.flush()
    if study.urgency is not Urgency.ROUTINE:
        log.info("study %d: its urgency is %s", study.id, study.urgency)
    return study


def raise_urgency(session: Session, study: Study, urgency: Urgency) -> None:
    """Makes a study more urgent, and moves what still waits of it; a lower urgency changes nothing."""
    sooner_s = urgency.head_start_s - study.urgency.head_start_s
    if sooner_s <= 0:
        return
    log.info("study %d: its urgency is %s, and was %s", study.id, urgency, study.urgency)
    study.urgency = urgency
    unfinished = Job.state.in_([JobState.WAITING, JobState.RUNNING, JobState.FAILED])
    session.execute(update(Job).where(Job.study_id == study.id, unfinished).values(turn=Job.turn - sooner_s))


def reopen(session: Session, study: Study, now: float, *, new_image: bool) -> None:
    """Reopens a study for a late instance; after a report, as the next revision. A quarantined study stays quarantined.

    Without a `new_image` (a corrected header was received) a study that is not-read stays so: it has no report.
    """
    if study.state is StudyState.CLOSED:
        cancel_reports(session, study)
        begin_revision_after_notice(study)
    elif study.state is StudyState.REPORTED:
        study.revision += 1
        study.opened_at = now
    elif study.state is StudyState.NOT_READ and new_image:
        study.opened_at = now
    else:
        return
    _wait_for_images(study)


def release(study: Study, now: float) -> None:
    """Opens a study that was in quarantine: a person has reviewed it."""
    begin_revision_after_notice(study)
    study.opened_at = now
    _wait_for_images(study)


def close(session: Session, study: Study, now: float) -> None:
    """Closes a study and queues its report."""
    _close(session, study, now)
    log.info("study %d: revision %d closed: %s", study.id, study.revision, study.why)


def report_anew(session: Session, study: Study, now: float, why: str) -> None:
    """Queues a report with the current data; as a new revision if there is a report already.

    An open study gets its report later, and one in quarantine or not read gets none: nothing is done. Nor if retention
    deleted its images: what was reported of them stands.
    """
    images = [instance for instance in study.instances if instance.kind.is_image]
    if images and all(image.purged_at is not None for image in images):
        log.info("study %d: not reported again, because its images are purged: %s", study.id, why)
        return
    if study.state is StudyState.REPORTED:
        study.revision += 1
        study.opened_at = now
        study.why = why
        _close(session, study, now)
    elif study.state is StudyState.CLOSED:
        cancel_reports(session, study)  # a report that is being written lacks the new data
        begin_revision_after_notice(study)
        study.why = why
        _ask_for_report(session, study)
    else:
        return
    log.info("study %d: revision %d: %s", study.id, study.revision, why)


def end_unread(study: Study, why: str) -> None:
    """Ends a study without a breast image: nothing is sent."""
    study.state = moved(study.state, StudyState.NOT_READ)
    study.why = why
    log.info("study %d: not read: %s", study.id, why)


def end_reported(study: Study) -> None:
    """Ends a study whose results are written."""
    study.state = moved(study.state, StudyState.REPORTED)
    study.why = ""


def quarantine(session: Session, study: Study, why: Contradiction, now: float) -> None:
    """Holds the study until a person has looked: nothing of it is sent. The first reason stays."""
    if study.state is StudyState.QUARANTINED:
        came_again(study, now)
        return
    cancel_reports(session, study)
    study.state = moved(study.state, StudyState.QUARANTINED)
    came_again(study, now)
    study.why = why.value
    tell(session, study, StudyEvent.QUARANTINED, now)
    log.warning("study %d: in quarantine: %s", study.id, why)


def came_again(study: Study, now: float) -> None:
    """Retention counts the days of a study from here: an object of it came, also one that is here already.

    An open study is not deleted, and does not wait longer for its images because of this.
    """
    if study.state is not StudyState.OPEN:
        study.last_received_at = max(study.last_received_at, now)


def are_two_patients(session: Session, study: Study) -> bool:
    """Whether the study's instances disagree about the patient (dicom_io/patient_identity.py), or only some state an
    ID."""
    stated = session.execute(
        select(
            Instance.patient_id, Instance.patient_birth_date, Instance.patient_id_issuer, Instance.patient_name
        ).where(Instance.study_id == study.id)
    )
    patients = {StatedPatient(*values) for values in stated}
    return len({patient.patient_id for patient in patients}) > 1 or bool(contradiction(patients))


def hold_two_patients(session: Session, study: Study, now: float) -> None:
    """Puts a study whose instances disagree about the patient into quarantine."""
    if are_two_patients(session, study):
        quarantine(session, study, Contradiction.TWO_PATIENTS, now)


def ask_for_reading(session: Session, study: Study, image: Instance) -> None:
    """Puts the reading of an image into the queue, for the study's present revision."""
    study.readings_purged_at = None
    session.add(
        Job(
            kind=JobKind.READ_IMAGE,
            study_id=study.id,
            instance_id=image.id,
            revision=study.revision,
            turn=study.turn,
        )
    )


def cancel_readings(session: Session, image: Instance) -> None:
    """Takes back the readings of an image that were asked for and are not stored, also one that is being made: whoever
    makes it finds that its job was cancelled, and stores nothing."""
    session.execute(
        moving(Job.state, [JobState.WAITING, JobState.RUNNING, JobState.FAILED], JobState.CANCELLED)
        .where(Job.instance_id == image.id, Job.kind == JobKind.READ_IMAGE)
        .values(worker=None, lease_until=None)
    )


def cancel_reports(session: Session, study: Study) -> None:
    """Takes back the reports that were asked for and not made, also those that could not be written."""
    session.execute(
        moving(Job.state, [JobState.WAITING, JobState.RUNNING, JobState.FAILED], JobState.CANCELLED)
        .where(Job.study_id == study.id, Job.kind == JobKind.REPORT)
        .values(worker=None, lease_until=None)
    )


def begin_revision_after_notice(study: Study) -> None:
    """Begins the next revision where the present one sent a notice that its report could not be written."""
    if any(result.revision == study.revision for result in study.results):
        study.revision += 1


def _wait_for_images(study: Study) -> None:
    """Opens the study, with nothing known of when it will be complete."""
    study.state = moved(study.state, StudyState.OPEN)
    study.closed_at = None
    study.decide_at = 0.0
    study.expected_instances = None
    study.why = ""


def _close(session: Session, study: Study, now: float) -> None:
    study.state = moved(study.state, StudyState.CLOSED)
    study.closed_at = now
    _ask_for_report(session, study)


def _ask_for_report(session: Session, study: Study) -> None:
    session.add(Job(kind=JobKind.REPORT, study_id=study.id, revision=study.revision, turn=study.turn))
