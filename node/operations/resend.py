"""Sending the results of a study to one destination again, or to one that did not get them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.results.profiles import ResultKind
from models.errors import UserError
from node.delivery.outbox import ResultDestination, send_again
from node.retention.told import day_of, images_deleted
from node.store.states import DeliveryState, StudyState
from node.store.tables import Delivery, Result, Study


class CannotResend(UserError):
    """The message says why, and what to do."""


def resend(session: Session, study_id: int, to: ResultDestination, now: float) -> int:
    """Queues all results of a study's current revision for a destination, whether it has them or not; returns their
    number.

    A destination that no route chose gets them too: a person decides. Results that a later revision replaced are
    not sent.

    Raises:
        CannotResend: there is no such study, it is not reported, or it has no results in the destination's profile;
            nothing was changed.
    """
    study = session.get(Study, study_id, with_for_update=True)
    if study is None:
        raise CannotResend(f"There is no study {study_id}: `mammo-node status` lists them.")
    if study.state is not StudyState.REPORTED:
        raise CannotResend(f"Study {study_id} is {study.state}: only the results of a reported study are sent again.")
    current = select(Result).where(Result.study_id == study_id, Result.last_revision == study.revision)
    results = session.scalars(current.order_by(Result.id)).all()
    if any(result.purged_at is not None for result in results):
        raise CannotResend(
            f"The results of study {study_id} were purged on {day_of(study.results_purged_at or now)} (retention): "
            f"{images_deleted(study) or f'`mammo-node reread {study_id}` makes them anew'}."
        )
    deliveries = {
        delivery.result_id: delivery
        for delivery in session.scalars(
            select(Delivery).where(
                Delivery.result_id.in_([result.id for result in results]), Delivery.destination == to.name
            )
        )
    }
    number = 0
    for result in results:
        delivery = deliveries.get(result.id)
        if delivery is not None:
            _again(delivery, now)
        elif result.profile == to.profile.name and result.kind is not ResultKind.REJECTION:
            session.add(Delivery(result_id=result.id, destination=to.name, created_at=now, next_at=now))
        else:
            continue
        number += 1
    if not number:
        raise CannotResend(
            f"Study {study_id} was reported before {to.name} was in the settings, or with other objects: nothing of it "
            f"is written as {to.name} gets it. `mammo-node reread {study_id}` reports it anew."
        )
    return number


def _again(delivery: Delivery, now: float) -> None:
    if delivery.state is DeliveryState.WAITING:
        delivery.next_at = now
        return
    send_again(delivery, now)
    delivery.transaction_uid = delivery.commitment_asked_at = None
