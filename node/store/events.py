"""Events of studies of which webhooks are told. Each is entered in the transaction in which it happens, so that it is
told if and only if it happened (docs/webhooks.md)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from models.types.words import counted
from node.store.states import DeliveryState, JobState, StudyState
from node.store.tables import Delivery, Job, Notice, Result, Study, Subscription


class StudyEvent(StrEnum):
    """The names are those of the settings."""

    REPORTED = "reported"
    """A revision's results are written."""
    FAILED = "failed"
    """Something of it failed that the node does not mend by itself: a reading, a report, a delivery. Once, until a
    person has retried it."""
    QUARANTINED = "quarantined"
    DISCORDANT = "discordant"
    """A report says that models and radiologist disagree on recall, and the one before did not."""
    ABOVE_THRESHOLD = "above_threshold"
    """A report's exam score is at least the webhook's least_score, and the one before was not."""


TOLD_IN_QUARANTINE = (StudyEvent.QUARANTINED, StudyEvent.FAILED)
"""The others wait until a person has released the study."""
_UNTOLD = Notice.state.in_([DeliveryState.WAITING, DeliveryState.DEAD])


@dataclass(frozen=True)
class Subscriber:
    """A webhook of the settings: its name, its events, and the score (0..1) of ABOVE_THRESHOLD."""

    name: str
    events: tuple[StudyEvent, ...]
    least_score: float | None


def subscribe(session: Session, webhooks: Iterable[Subscriber]) -> list[str]:
    """Keeps the webhooks of the settings, so that whoever stores an event knows them. Returns the names of those that
    were known with other events.

    Takes none away: another process of the node may have settings that name more of them. A person does
    (`unsubscribe`).
    """
    known = {each.name: each for each in session.scalars(select(Subscription))}
    changed = []
    for webhook in webhooks:
        events = [*map(str, webhook.events)]
        its = known.get(webhook.name)
        if its is None:
            session.add(Subscription(name=webhook.name, events=events, least_score=webhook.least_score))
        elif (its.events, its.least_score) != (events, webhook.least_score):
            its.events, its.least_score = events, webhook.least_score
            changed.append(webhook.name)
    return changed


def left_behind(session: Session, configured: Collection[str]) -> dict[str, int]:
    """The webhooks that are not `configured`, and how many notices wait for each or were given up. More are entered
    until they are unsubscribed."""
    waiting = select(Notice.webhook, func.count()).where(_UNTOLD, Notice.webhook.not_in(configured))
    counts = dict(session.execute(waiting.group_by(Notice.webhook)).all())
    names = session.scalars(select(Subscription.name).where(Subscription.name.not_in(configured)))
    return {name: counts.get(name, 0) for name in sorted({*names, *counts})}


def unsubscribe(session: Session, name: str) -> int:
    """Forgets a webhook, and drops what it was not told; returns how many notices that were."""
    session.execute(delete(Subscription).where(Subscription.name == name))
    return len(session.scalars(delete(Notice).where(_UNTOLD, Notice.webhook == name).returning(Notice.id)).all())


def notices_wait(name: str, count: int) -> str:
    """ "2 notices wait for webhook ris"."""
    return f"{counted(count, 'notice')} {'waits' if count == 1 else 'wait'} for webhook {name}"


def tell(session: Session, study: Study, event: StudyEvent, now: float) -> None:
    """Enters an event for the webhooks that want it."""
    for webhook in session.scalars(select(Subscription)):
        if event in webhook.events:
            _enter(session, study, event, webhook, now)


def tell_report(
    session: Session, study: Study, *, score_before: float | None, discordant_before: bool, now: float
) -> None:
    """Enters the events of a report that was just written, whose score and discordance the study has."""
    tell(session, study, StudyEvent.REPORTED, now)
    if study.discordant and not discordant_before:
        tell(session, study, StudyEvent.DISCORDANT, now)
    for webhook in session.scalars(select(Subscription).where(Subscription.least_score.is_not(None))):
        if _reaches(study.score, webhook.least_score) and not _reaches(score_before, webhook.least_score):
            _enter(session, study, StudyEvent.ABOVE_THRESHOLD, webhook, now)


def tell_failure(session: Session, study: Study, now: float) -> None:
    """Enters FAILED, after a failure was stored, if it is the only one of the study that nobody has retried."""
    failed_jobs = select(func.count()).where(Job.study_id == study.id, Job.state == JobState.FAILED)
    dead = (
        select(func.count(Delivery.id))
        .join(Delivery.result)
        .where(
            Result.study_id == study.id,
            Result.last_revision == study.revision,
            Delivery.state == DeliveryState.DEAD,
        )
    )
    if (session.scalar(failed_jobs) or 0) + (session.scalar(dead) or 0) == 1:
        tell(session, study, StudyEvent.FAILED, now)


def _reaches(score: float | None, least: float | None) -> bool:
    return score is not None and least is not None and score >= least


def _enter(session: Session, study: Study, event: StudyEvent, webhook: Subscription, now: float) -> None:
    session.add(
        Notice(
            webhook=webhook.name,
            study_id=study.id,
            event=event,
            revision=study.revision,
            score=None if study.state is StudyState.QUARANTINED else study.score,
            happened_at=now,
            created_at=now,
            next_at=now,
        )
    )
