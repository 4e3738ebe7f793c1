"""Studies with their images, jobs and deliveries, for people. Without patient names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, contains_eager, object_session

from dicom_io.instance_kinds import InstanceKind
from dicom_io.results.profiles import ResultKind
from models.types.mammogram import Laterality
from node.audit.refused_callers import SHOWN_S, refused_callers
from node.operations.disagreement import disagreement
from node.store.states import DeliveryState, ImageOutcome, JobKind, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Notice, Result, Study
from node.store.urgency import Urgency

DELIVERED = frozenset({DeliveryState.SENT, DeliveryState.COMMITTED})


_NO_SENDER = "is not among the senders"
"""What scp.py says of a caller whose AE title is not known at its address."""


@dataclass(frozen=True)
class ImageView:
    """One instance of a study; `reason` says why it was not read. Times are UTC seconds since the epoch; `read_at` is
    None if it was not read, or by an older version; `purged_at`: when retention deleted its file."""

    id: int
    kind: InstanceKind
    laterality: Laterality | None
    view: str | None
    outcome: ImageOutcome
    reason: str | None
    received_at: float = 0.0
    read_at: float | None = None
    purged_at: float | None = None


@dataclass(frozen=True)
class JobView:
    """A job that is waiting, running or failed (see `error`). `faults`: how often a fault of the machine put it off,
    the last time until `next_at` (UTC seconds since the epoch)."""

    id: int
    kind: JobKind
    image: int | None
    state: JobState
    attempts: int
    error: str
    faults: int = 0
    next_at: float = 0.0


@dataclass(frozen=True)
class DeliveryView:
    """The delivery of one result to one destination; `revision` is the one that the result was written for,
    `last_revision` the newest that it belongs to. Times are UTC seconds since the epoch."""

    id: int
    result: ResultKind
    revision: int
    destination: str
    state: DeliveryState
    attempts: int
    next_at: float
    sent_at: float | None
    error: str
    last_revision: int = 0
    created_at: float = 0.0


@dataclass(frozen=True)
class NoticeView:
    """An event of which a webhook is told. Times are UTC seconds since the epoch."""

    webhook: str
    event: str
    revision: int
    state: DeliveryState
    attempts: int
    next_at: float
    sent_at: float | None
    error: str


@dataclass(frozen=True)
class StudyView:
    """A study with its unfinished jobs, deliveries and notices. `score`: of the exam, 0..1; `discordant`: models and
    radiologist disagree on recall; both as in the last report. `readings_purged_at`, `results_purged_at`: when
    retention deleted their files; `disagreement`: in quarantine, which images state another patient."""

    id: int
    study_instance_uid: str
    source: str
    state: StudyState
    why: str
    revision: int
    first_received_at: float
    last_received_at: float
    expected_instances: int | None
    images: tuple[ImageView, ...]
    jobs: tuple[JobView, ...]
    deliveries: tuple[DeliveryView, ...]
    urgency: Urgency = Urgency.ROUTINE
    closed_at: float | None = None
    score: float | None = None
    discordant: bool = False
    notices: tuple[NoticeView, ...] = ()
    readings_purged_at: float | None = None
    results_purged_at: float | None = None
    disagreement: str = ""


@dataclass(frozen=True)
class StudyCounts:
    """`counts`: all studies by their state; `unreported`: the open and closed ones by their urgency, the most urgent
    first; `nothing_read`: the reported ones of which no image could be read."""

    counts: dict[str, int]
    unreported: dict[str, int]
    nothing_read: int


def count_studies(session: Session) -> StudyCounts:
    counts = {str(state): 0 for state in StudyState}
    for state, count in session.execute(select(Study.state, func.count()).group_by(Study.state)):
        counts[str(state)] = count
    unreported = {str(urgency): 0 for urgency in reversed(Urgency)}
    wait = Study.state.in_([StudyState.OPEN, StudyState.CLOSED])
    for urgency, count in session.execute(select(Study.urgency, func.count()).where(wait).group_by(Study.urgency)):
        unreported[str(urgency)] = count
    read = exists().where(Instance.study_id == Study.id, Instance.reading.is_not(None))
    unread = select(func.count()).select_from(Study).where(Study.state == StudyState.REPORTED, ~read)
    return StudyCounts(counts, unreported, session.scalar(unread) or 0)


def with_rows(session: Session, studies: Sequence[Study]) -> Iterator[StudyView]:
    """The studies, in the same order, with their jobs, deliveries and notices."""
    ids = [study.id for study in studies]
    pending = [JobState.WAITING, JobState.RUNNING, JobState.FAILED]
    jobs = session.scalars(select(Job).where(Job.study_id.in_(ids), Job.state.in_(pending)).order_by(Job.id)).all()
    deliveries = session.scalars(
        select(Delivery)
        .join(Delivery.result)
        .where(Result.study_id.in_(ids))
        .options(contains_eager(Delivery.result))
        .order_by(Delivery.id)
    ).all()
    notices = session.scalars(select(Notice).where(Notice.study_id.in_(ids)).order_by(Notice.id)).all()
    jobs_of: dict[int, list[Job]] = {study_id: [] for study_id in ids}
    deliveries_of: dict[int, list[Delivery]] = {study_id: [] for study_id in ids}
    for job in jobs:
        jobs_of[job.study_id].append(job)
    for delivery in deliveries:
        deliveries_of[delivery.result.study_id].append(delivery)
    notices_of: dict[int, list[Notice]] = {study_id: [] for study_id in ids}
    for notice in notices:
        notices_of[notice.study_id].append(notice)
    return (_study_view(study, jobs_of[study.id], deliveries_of[study.id], notices_of[study.id]) for study in studies)


def _study_view(study: Study, jobs: list[Job], deliveries: list[Delivery], notices: list[Notice]) -> StudyView:
    return StudyView(
        id=study.id,
        study_instance_uid=study.study_instance_uid,
        source=study.source,
        state=study.state,
        why=study.why,
        revision=study.revision,
        first_received_at=study.first_received_at,
        # Not study.last_received_at, which is also the time of what came again: retention counts from there.
        last_received_at=max((image.received_at for image in study.instances), default=study.last_received_at),
        expected_instances=study.expected_instances,
        images=tuple(_image_view(instance) for instance in study.instances),
        jobs=tuple(
            JobView(job.id, job.kind, job.instance_id, job.state, job.attempts, job.error, job.faults, job.next_at)
            for job in jobs
        ),
        deliveries=tuple(
            DeliveryView(
                delivery.id,
                delivery.result.kind,
                delivery.result.revision,
                delivery.destination,
                delivery.state,
                delivery.attempts,
                delivery.next_at,
                delivery.sent_at,
                delivery.error or _why_not_committed(delivery),
                delivery.result.last_revision,
                delivery.created_at,
            )
            for delivery in deliveries
        ),
        urgency=study.urgency,
        closed_at=study.closed_at,
        score=study.score,
        discordant=study.discordant,
        notices=tuple(
            NoticeView(
                notice.webhook,
                notice.event,
                notice.revision,
                notice.state,
                notice.attempts,
                notice.next_at,
                notice.sent_at,
                notice.error,
            )
            for notice in notices
        ),
        readings_purged_at=study.readings_purged_at,
        results_purged_at=study.results_purged_at,
        disagreement=disagreement(study.instances) if study.state is StudyState.QUARANTINED else "",
    )


def _why_not_committed(delivery: Delivery) -> str:
    """Who was refused since the destination was asked: its report may come from an AE title that is no sender."""
    session, asked_at = object_session(delivery), delivery.commitment_asked_at
    if delivery.state is not DeliveryState.UNCOMMITTED or session is None or asked_at is None:
        return ""
    refused = [caller.says for caller in refused_callers(session, asked_at + SHOWN_S) if _NO_SENDER in caller.says]
    if not refused:
        return ""
    return (
        f"not committed yet; refused since it was asked: {refused[0]}. Enter it in [[senders]] if it brings the report"
    )


def _image_view(instance: Instance) -> ImageView:
    why = instance.refusal or instance.unread_reason
    if why is not None:
        outcome = ImageOutcome.NOT_READ
    else:
        outcome = ImageOutcome.READ if instance.reading is not None else ImageOutcome.WAITING
    return ImageView(
        instance.id,
        instance.kind,
        instance.laterality,
        instance.view,
        outcome,
        why,
        instance.received_at,
        instance.read_at,
        instance.purged_at,
    )
