"""`mammo-node retry`: what a person sets going again after it was given up or held back."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

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
    unreported = [job for job in failed if job.kind is JobKind.REPORT]
    done = []
    if study.state is StudyState.QUARANTINED:
        done.append(f"let out of quarantine, where it stood because: {study.why or 'no reason was noted'}")
        _reopen(session, study, now)
    elif unread and study.state in (StudyState.REPORTED, StudyState.NOT_READ):
        _reopen(session, study, now)
        done.append(f"opened for revision {study.revision}")
    for job in unread:
        _wait_again(job, study)
        if job.instance is not None:
            job.instance.unread_reason = None
        done.append(f"image {job.instance_id} will be read again (job {job.id})")
    if study.state is StudyState.CLOSED:
        for job in unreported:
            _wait_again(job, study)
            done.append(f"its report will be written again (job {job.id})")
    return done + _send_again(session, study, now)


def _reopen(session: Session, study: Study, now: float) -> None:
    """Opens a study whose images are here already: closing.py closes it as soon as its quiet is over."""
    if any(result.revision == study.revision for result in study.results):
        study.revision += 1
    study.state = moved(study.state, StudyState.OPEN)
    study.why = ""
    study.opened_at = now
    for report in _reports_to_come(session, study):  # closing asks for the report anew
        if report.state is JobState.FAILED:
            report.state = moved(report.state, JobState.WAITING)
        report.state = moved(report.state, JobState.CANCELLED)


def _reports_to_come(session: Session, study: Study) -> Sequence[Job]:
    live = [JobState.WAITING, JobState.RUNNING, JobState.FAILED]
    return session.scalars(
        select(Job).where(Job.study_id == study.id, Job.kind == JobKind.REPORT, Job.state.in_(live))
    ).all()


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
