"""`mammo-node retry`: what a person sets going again after it was given up or held back."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.headers import InstanceKind
from node.arrivals import IN_QUARANTINE, reopen
from node.states import DeliveryState, JobKind, JobState, StudyState, moved
from node.tables import Delivery, Job, Result, Study


class NoSuchStudy(Exception):
    """The queue has no study with this id."""


def retry_study(session: Session, study_id: int, now: float) -> list[str]:
    """Sets a study going again and says what was done, one sentence each; nothing, where there was nothing to do.

    Images given up are read again, and where their study was reported without them it is reported anew, as its next
    revision. A report that could not be written is tried again; dead deliveries are due at once, with all of their
    time before them; a study in quarantine is let out: whoever calls this has looked at it.

    Raises:
        NoSuchStudy
    """
    study = session.get(Study, study_id)
    if study is None:
        raise NoSuchStudy(f"There is no study {study_id}: `mammo-node status` lists them.")
    failed = session.scalars(
        select(Job).where(Job.study_id == study_id, Job.state == JobState.FAILED).order_by(Job.id)
    ).all()
    unread = [job for job in failed if job.kind is JobKind.READ_IMAGE]
    done = []
    if study.state is StudyState.QUARANTINED:
        done += _let_out(session, study, now)
    elif unread and study.state in (StudyState.REPORTED, StudyState.NOT_READ):
        reopen(session, study, now, new_image=True)
        done.append(f"open again, for revision {study.revision}")
    done += [_read_again(job, study) for job in unread]
    done += [_report_again(job, study) for job in failed if job.kind is JobKind.REPORT]
    return done + _send_again(session, study, now)


def _let_out(session: Session, study: Study, now: float) -> list[str]:
    done = [f"let out of quarantine, where it stood because: {study.why}"]
    if any(result.revision == study.revision for result in study.results):
        study.revision += 1
    study.state = moved(study.state, StudyState.OPEN)
    study.opened_at = now
    study.closed_at = None
    study.why = ""
    for instance in study.instances:
        if instance.unread_reason == IN_QUARANTINE:
            instance.unread_reason = None
            if instance.kind != InstanceKind.FOR_PROCESSING:  # closing.py decides which raw images are read
                session.add(
                    Job(
                        kind=JobKind.READ_IMAGE,
                        study_id=study.id,
                        instance_id=instance.id,
                        revision=study.revision,
                    )
                )
                done.append(f"image {instance.id}, which came meanwhile, will be read")
    return done


def _read_again(job: Job, study: Study) -> str:
    _wait_again(job, study)
    if job.instance is not None:
        job.instance.unread_reason = None
    return f"image {job.instance_id} will be read again (job {job.id})"


def _report_again(job: Job, study: Study) -> str:
    overtaken = study.state is not StudyState.CLOSED or job.revision != study.revision
    _wait_again(job, study)
    if overtaken:
        job.state = moved(job.state, JobState.CANCELLED)
        return f"the report that failed is dropped: a later one takes its place (job {job.id})"
    return f"its report will be written again (job {job.id})"


def _wait_again(job: Job, study: Study) -> None:
    job.state = moved(job.state, JobState.WAITING)
    job.revision = study.revision
    job.attempts = 0
    job.error = ""


def _send_again(session: Session, study: Study, now: float) -> list[str]:
    dead = session.scalars(
        select(Delivery)
        .join(Delivery.result)
        .where(Result.study_id == study.id, Delivery.state == DeliveryState.DEAD)
        .order_by(Delivery.id)
    ).all()
    for delivery in dead:
        delivery.state = moved(delivery.state, DeliveryState.WAITING)
        delivery.attempts = 0
        delivery.created_at = now  # the time after which it is dead counts from here again
        delivery.next_at = now
    return [f"{delivery.result.kind} will be sent to {delivery.destination} again" for delivery in dead]
