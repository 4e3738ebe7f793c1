"""`mammo-node retry`: retries the failed jobs and deliveries of a study, and releases it from quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from dicom_io.errors import NotReadable
from dicom_io.instance_kinds import InstanceKind
from models.errors import UserError
from models.types.words import counted
from node.archive.contents import reading_of
from node.audit.actors import Actor
from node.delivery.commitment import ask_anew
from node.delivery.outbox import hold_back_replaced, send_again
from node.operations.acts import Act, Deed, note
from node.operations.disagreement import with_disagreement
from node.operations.studies import NoSuchStudy
from node.operations.webhooks import tell_again
from node.peers import committing
from node.retention.told import images_deleted
from node.store.states import DeliveryState, JobKind, JobState, StudyState, moved
from node.store.tables import Delivery, Instance, Job, Result, Study
from node.store.unread import Unread
from node.studies.lifecycle import (
    Contradiction,
    are_two_patients,
    ask_for_reading,
    begin_revision_after_notice,
    release,
    reopen,
)

NOTHING_TO_RETRY = "nothing failed, is dead, uncommitted or in quarantine: nothing was changed"
"""Said where there was nothing to do."""


class CannotRetry(UserError):
    """Nothing was changed; the message says why, and what to do."""


class ImagesPurged(CannotRetry):
    """Retention deleted what would be read."""


class StillTwoPatients(CannotRetry):
    """The study's instances disagree about the patient: a report would mix two patients."""


def lost_masks(session: Session, study_id: int, data_dir: Path) -> frozenset[int]:
    """The ids of a study's images that were read and whose masks are damaged, missing, or deleted by retention; but not
    of those that it deleted too."""
    read = select(Instance).where(
        Instance.study_id == study_id, Instance.reading.is_not(None), Instance.purged_at.is_(None)
    )
    return frozenset(instance.id for instance in session.scalars(read) if not _has_masks(instance, data_dir))


def _has_masks(instance: Instance, data_dir: Path) -> bool:
    if instance.masks_path is None:
        return False
    try:
        reading_of(instance, data_dir)
    except (NotReadable, OSError):
        return False
    return True


def retry(session: Session, settings: Settings, study_id: int, now: float, by: Actor) -> list[str]:
    """`retry_study` by the settings, with the masks that are lost, noted as an act of `by`; never an empty list.

    Raises:
        NoSuchStudy
        CannotRetry
    """
    asked_to_commit = {destination.name for destination in committing(settings)}
    held = session.get(Study, study_id)
    deed = Deed.RELEASED if held is not None and held.state is StudyState.QUARANTINED else Deed.RETRIED
    done = retry_study(session, study_id, now, asked_to_commit, lost_masks(session, study_id, settings.data_dir))
    note(session, Act(deed, by, study=study_id), now)
    return done or [NOTHING_TO_RETRY]


def retry_study(
    session: Session,
    study_id: int,
    now: float,
    committing: Collection[str] = (),
    lost: Collection[int] = (),
) -> list[str]:
    """Retries a study; returns one sentence for each thing done, none if there was nothing to do.

    Unreadable images, and those whose masks are lost, are read again; a closed study is reopened for them, a reported
    one as the next revision. A failed report is tried again. Dead deliveries of the current revision are due at once,
    and `dead_after_s` starts again; those that failed and wait for their next try are due at once too. A study in
    quarantine is released: the caller has checked it. Undelivered results of revisions before the quarantine are not
    sent any more. For results that were sent and are not committed, commitment is requested at once. What is done again
    has its turn as if the study arrived now.

    Args:
        committing: names of the destinations with `commitment`.
        lost: see `lost_masks`.

    Raises:
        NoSuchStudy
        CannotRetry
    """
    study = session.get(Study, study_id, with_for_update=True)
    if study is None:
        raise NoSuchStudy(study_id)
    failed = _failed(session, study, JobKind.READ_IMAGE)
    unread = [job for job in failed if job.instance is None or job.instance.purged_at is None]
    deleted = images_deleted(study)
    if deleted and (len(unread) < len(failed) or study.state is StudyState.QUARANTINED):
        raise ImagesPurged(f"Study {study.id} cannot be retried: {deleted}. Have them sent again, then retry.")
    done = []
    if study.state is StudyState.QUARANTINED:
        done += let_out(session, study, now)
    elif (unread or lost) and study.state is not StudyState.OPEN:
        reopen(session, study, now, new_image=True)
        study.opened_at = now
        done.append(f"open again, for revision {study.revision}")
    done += [_read_again(job, study) for job in unread]
    done += [_read_anew(session, study, instance) for instance in study.instances if instance.id in lost]
    # Last, because reopening the study may have cancelled a report.
    done += [_report_again(job, study, now) for job in _failed(session, study, JobKind.REPORT)]
    done += _send_again(session, study, now) + _ask_again(session, study, now, committing)
    if told := tell_again(session, now, study=study.id):
        done.append(f"{counted(told, 'notice')} will be sent to webhooks again")
    return done


def _failed(session: Session, study: Study, kind: JobKind) -> Sequence[Job]:
    return session.scalars(
        select(Job).where(Job.study_id == study.id, Job.kind == kind, Job.state == JobState.FAILED).order_by(Job.id)
    ).all()


def let_out(session: Session, study: Study, now: float) -> list[str]:
    """Lets a study out of quarantine; returns what was done, in sentences.

    Raises:
        StillTwoPatients
    """
    if are_two_patients(session, study):
        raise StillTwoPatients(
            f"Study {study.id} stays in quarantine: {with_disagreement(Contradiction.TWO_PATIENTS, study.instances)}. "
            "Correct them at their source, send them again, and retry then; or take out what belongs to another study: "
            f"`mammo-node quarantine set-aside {study.id} IMAGE`."
        )
    done = [f"let out of quarantine, where it stood because: {study.why}"]
    release(study, now)
    for instance in study.instances:
        if instance.unread is Unread.IN_QUARANTINE:
            instance.leave_unread(None)
            if instance.kind != InstanceKind.FOR_PROCESSING:  # studies/closing.py decides which raw images are read
                ask_for_reading(session, study, instance)
                done.append(f"image {instance.id}, which came meanwhile, will be read")
    if unsent := hold_back_replaced(session, study):
        done.append(
            f"not sent any more: {counted(unsent, 'delivery', 'deliveries')}, replaced by revision {study.revision}"
        )
    return done


def _read_again(job: Job, study: Study) -> str:
    _wait_again(job, study)
    if job.instance is not None:
        job.instance.leave_unread(None)
    return f"image {job.instance_id} will be read again (job {job.id})"


def _read_anew(session: Session, study: Study, instance: Instance) -> str:
    instance.reading = instance.masks_path = instance.read_at = None
    ask_for_reading(session, study, instance)
    return f"image {instance.id} will be read again: its masks are damaged or gone"


def _report_again(job: Job, study: Study, now: float) -> str:
    begin_revision_after_notice(study)
    study.opened_at = now
    _wait_again(job, study)
    return f"its report will be written again (job {job.id})"


def _wait_again(job: Job, study: Study) -> None:
    job.state = moved(job.state, JobState.WAITING)
    job.revision = study.revision
    job.turn = study.turn
    job.attempts = job.faults = 0
    job.next_at = 0.0
    job.error = ""


def _send_again(session: Session, study: Study, now: float) -> list[str]:
    """Makes dead deliveries of the current revision due again, and those due now that wait after a failure; those of
    replaced results stay dead."""
    dead = _deliveries(session, study, DeliveryState.DEAD)
    waiting = _deliveries(session, study, DeliveryState.WAITING)
    late = [delivery for delivery in waiting if delivery.error and delivery.next_at > now]
    if dead and study.state is not StudyState.OPEN:
        study.opened_at = now  # deliveries go by the turn of their study
    for delivery in dead:
        send_again(delivery, now)
    for delivery in late:
        delivery.next_at = now
    kinds: dict[str, Counter[str]] = {}
    for delivery in (*dead, *late):
        kinds.setdefault(delivery.destination, Counter())[delivery.result.kind] += 1
    return [
        f"{', '.join(f'{count} {kind}' for kind, count in of.items())} will be sent to {name} again"
        for name, of in kinds.items()
    ]


def _ask_again(session: Session, study: Study, now: float, committing: Collection[str]) -> list[str]:
    sent = _deliveries(session, study, DeliveryState.SENT, DeliveryState.UNCOMMITTED)
    uncommitted = [delivery for delivery in sent if delivery.destination in committing]
    for delivery in uncommitted:
        ask_anew(delivery, now)
    counts = Counter(delivery.destination for delivery in uncommitted)
    return [f"{name} will be asked again to commit to {counted(count, 'result')}" for name, count in counts.items()]


def _deliveries(session: Session, study: Study, *states: DeliveryState) -> Sequence[Delivery]:
    """Those of the present revision."""
    return session.scalars(
        select(Delivery)
        .join(Delivery.result)
        .where(
            Result.study_id == study.id,
            Result.last_revision == study.revision,
            Result.purged_at.is_(None),
            Delivery.state.in_(states),
        )
        .order_by(Delivery.id)
    ).all()
