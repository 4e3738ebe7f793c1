"""Sending all results again that did not reach a destination, after a long outage."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, contains_eager

from node.audit.actors import Actor
from node.delivery.outbox import send_again
from node.operations.acts import Act, Deed, note
from node.store.database import Sessions
from node.store.states import DeliveryState, StudyState
from node.store.tables import Delivery, Result, Study

_AT_ONCE = 1000
"""Deliveries per transaction: few enough for it to end soon, since nobody else writes meanwhile."""


@dataclass
class Retried:
    """How many results had been `given_up`, and how many waited for a later try (`late`); all are due now."""

    given_up: int = 0
    late: int = 0


def retry_destination(sessions: Sessions, destination: str, now: float, by: Actor) -> Retried:
    """Makes the results due at once that were given up for a destination, and those that wait after a failure;
    `dead_after_s` begins again for what was given up. As `retry` of each study, but nothing else of it is done again.

    Left alone: what a later revision replaced, what retention deleted, and studies in quarantine.
    """
    done, last = Retried(), 0
    while True:
        with sessions.begin() as session:
            deliveries = _next(session, destination, last, now)
            if not deliveries:
                return done
            _retry(session, deliveries, destination, now, by, done)
            last = deliveries[-1].id


def _next(session: Session, destination: str, last: int, now: float) -> list[Delivery]:
    late = and_(Delivery.state == DeliveryState.WAITING, Delivery.error != "", Delivery.next_at > now)
    query = (
        select(Delivery)
        .join(Delivery.result)
        .join(Result.study)
        .where(
            Delivery.id > last,
            Delivery.destination == destination,
            or_(Delivery.state == DeliveryState.DEAD, late),
            Result.last_revision == Study.revision,
            Result.purged_at.is_(None),
            Study.state != StudyState.QUARANTINED,
        )
        .options(contains_eager(Delivery.result).contains_eager(Result.study))
        .order_by(Delivery.id)
        .limit(_AT_ONCE)
        .with_for_update()
    )
    return list(session.scalars(query))


def _retry(
    session: Session, deliveries: list[Delivery], destination: str, now: float, by: Actor, done: Retried
) -> None:
    for delivery in deliveries:
        if delivery.state is DeliveryState.DEAD:
            done.given_up += 1
            send_again(delivery, now)
            if delivery.result.study.state is not StudyState.OPEN:
                delivery.result.study.opened_at = now  # deliveries go by the turn of their study
        else:
            done.late += 1
            delivery.next_at = now
    about = f"{len(deliveries)} to {destination}"
    note(session, Act(Deed.DELIVERIES_RETRIED, by, about=about), now)
